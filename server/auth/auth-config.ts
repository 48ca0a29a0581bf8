// Apart from what imports the library: the types of procedures lead here, and a client's compiler should not
// have to read them.
import type { Config } from '#server/app/config.ts'

/** The part of the configuration that signing in needs. */
export type AuthConfig = Pick<
  Config,
  'authSecret' | 'appUrl' | 'allowedOrigins' | 'environment' | 'socialProviders' | 'signUp'
>
