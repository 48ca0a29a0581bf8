// Separate from the modules that import the library: the types of procedures use this one, and a client's
// compiler should not read the library's.
import type { Config } from '#server/app/config.ts'

/** The part of the configuration that authentication needs. */
export type AuthConfig = Pick<
  Config,
  'authSecret' | 'appUrl' | 'allowedOrigins' | 'environment' | 'socialProviders' | 'signUp'
>
