import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { z } from 'zod'
import type { TrustedProxies } from '#server/http/client-address.ts'
import { DEFAULT_PLACE_LIMITS } from '#server/system/places.ts'
import { type DatabaseConfig, type LoginUrlOverrides, readDatabase, readPoolSize } from './config/database.ts'
import { readSmtpUrl } from './config/mail.ts'
import { type MediaConfig, readMedia } from './config/media.ts'
import {
  type ProvidersConfig,
  readProviders,
  readWebhookSecrets,
  type WebhookSecrets,
} from './config/providers.ts'
import { readTrustProxy } from './config/proxy.ts'
import { type Quotas, readLimit, readQuotas } from './config/quotas.ts'
import { ConfigError, ConfigReader, type Environment, flag, origin, wholeNumber } from './config/reader.ts'
import {
  developmentKeys,
  developmentSecret,
  MIN_SECRET_LENGTH,
  readEncryptionKeys,
  weaknessOf,
} from './config/secrets.ts'
import { readDrainGrace } from './config/stopping.ts'
import { DataFileError } from './data-directory.ts'

export { loadEnvFile } from './config/env-file.ts'
export { ConfigError } from './config/reader.ts'
export type { DatabaseConfig, LoginUrlOverrides }

const ENVIRONMENTS = ['development', 'production', 'test'] as const
const SIGN_UPS = ['open', 'private'] as const
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

export interface ProviderConfig {
  readonly clientId: string
  readonly clientSecret: string
}

/** What users' connectors may do from this machine. */
export interface ConnectorRules {
  /** Run commands that users typed here, with the server's rights. */
  readonly allowLocal: boolean
  /** Ask private, loopback and link-local addresses. */
  readonly allowPrivate: boolean
}

/** Everything that the environment decides, read once; plain data. */
export interface Config {
  readonly environment: (typeof ENVIRONMENTS)[number]
  readonly host: string
  readonly port: number
  /** The origin that browsers and mails reach the server at. */
  readonly appUrl: string
  /** How long a server that is asked to stop goes on accepting connections, while it denies that it is ready. */
  readonly drainGraceMs: number
  /** Origins besides `appUrl` whose pages may call with a cookie. */
  readonly allowedOrigins: readonly string[]
  /** Whose word about their caller's address is believed; 0: nobody's. */
  readonly trustProxy: TrustedProxies
  /** An absolute path. */
  readonly dataDir: string
  /** Whether npm runs this process, which it leaves behind when it is asked to stop. */
  readonly isRunByNpm: boolean
  readonly logLevel: (typeof LOG_LEVELS)[number]
  readonly authSecret: string
  /** The keyring as text, `k2:…,k1:…`; it has been parsed once and is known to be right. */
  readonly encryptionKeys: string
  readonly database: DatabaseConfig
  readonly loginUrls: LoginUrlOverrides
  /** How many connections each of the three logins that serve requests may have in this process. */
  readonly poolSize: number
  readonly migrateOnStart: boolean
  /** Null: mails are printed in development, and dropped in production. */
  readonly smtpUrl: string | null
  readonly emailFrom: string
  /** Whether a sign-up tells that an address has an account already; privately it does not, and sends a mail instead of a session. */
  readonly signUp: (typeof SIGN_UPS)[number]
  readonly socialProviders: { readonly github?: ProviderConfig; readonly google?: ProviderConfig }
  /** The apps through which users connect their accounts elsewhere. */
  readonly providers: ProvidersConfig
  readonly webhookSecrets: WebhookSecrets
  /** Lets the operator's workers claim tasks of all users; null turns that off. */
  readonly workerKey: string | null
  readonly connectors: ConnectorRules
  readonly media: MediaConfig
  /** How many streams one user may have open at a time, over all processes. */
  readonly maxStreamsPerUser: number
  readonly quotas: Quotas
}

/**
 * Reads the configuration, or throws one ConfigError that lists everything that is wrong with it. Connects to nothing;
 * the one thing it writes are development secrets that do not exist yet.
 */
// biome-ignore lint/style/noProcessEnv: this module is the one reader of the environment.
export function loadConfig(env: Environment = process.env): Config {
  const reader = new ConfigReader(env)
  const config = readConfig(reader)
  const encryptionKeys = readEncryptionKeys(reader, isProduction(reader))
  return deepFreeze({
    ...finishConfig(reader, config),
    encryptionKeys:
      encryptionKeys ?? generateSecret(() => developmentKeys(config.dataDir, 'encryption-keys')),
  })
}

/** The same for commands that migrate and seal nothing, and so do without the encryption keys. */
// biome-ignore lint/style/noProcessEnv: this module is the one reader of the environment.
export function loadOwnerConfig(env: Environment = process.env): Omit<Config, 'encryptionKeys'> {
  const reader = new ConfigReader(env)
  return deepFreeze(finishConfig(reader, readConfig(reader)))
}

type ReadConfig = Omit<Config, 'authSecret' | 'encryptionKeys'>

/** Throws what is wrong with the configuration, and completes what is right. */
function finishConfig(reader: ConfigReader, config: ReadConfig): ReadConfig & { authSecret: string } {
  const authSecret = readAuthSecret(reader)
  reader.finish()
  return {
    ...config,
    authSecret: authSecret ?? generateSecret(() => developmentSecret(config.dataDir, 'auth-secret')),
  }
}

function isProduction(reader: ConfigReader): boolean {
  return reader.text('NODE_ENV') === 'production' || reader.text('DB_METHOD') === 'PRODUCTION'
}

function readConfig(reader: ConfigReader): ReadConfig {
  const named = reader.read('NODE_ENV', {
    schema: z.enum(ENVIRONMENTS),
    must: 'development, production or test',
    example: 'production',
  })
  const environment = isProduction(reader) ? 'production' : (named ?? 'development')
  const port =
    reader.read('PORT', {
      schema: wholeNumber(0, 65_535),
      must: 'a port from 1 to 65535, or 0 for any free one',
      example: '3000',
    }) ?? 3000
  const { database, loginUrls } = readDatabase(reader, { isProduction: isProduction(reader) })
  const appUrl =
    reader.read('APP_URL', {
      schema: origin,
      must: 'an http or https address without a path',
      example: 'https://rowhouse.example.com',
    }) ?? `http://localhost:${port}`
  const dataDir = resolve(reader.text('DATA_DIR') ?? '.rowhouse')
  return {
    environment,
    host:
      reader.read('HOST', {
        schema: z.string().refine(text => isIP(text) !== 0 || /^\w[\w.-]*$/.test(text)),
        must: 'an IP address or a host name, without a port',
        example: '127.0.0.1',
      }) ?? (environment === 'production' ? '0.0.0.0' : '127.0.0.1'),
    port,
    appUrl,
    drainGraceMs: readDrainGrace(reader, environment),
    allowedOrigins: readAllowedOrigins(reader),
    trustProxy: readTrustProxy(reader),
    dataDir,
    isRunByNpm: reader.text('npm_lifecycle_event') !== undefined,
    logLevel:
      reader.read('LOG_LEVEL', {
        schema: z.enum(LOG_LEVELS),
        must: 'fatal, error, warn, info, debug, trace or silent',
        example: 'info',
      }) ?? 'info',
    database,
    loginUrls,
    poolSize: readPoolSize(reader),
    migrateOnStart: readMigrateOnStart(reader, environment, database),
    smtpUrl: readSmtpUrl(reader) ?? null,
    signUp: readSignUp(reader, environment),
    emailFrom:
      reader.read('EMAIL_FROM', {
        schema: z.string().regex(/^([^<>\r\n]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/),
        must: 'an address, with or without a name',
        example: 'Rowhouse <hello@example.com>',
      }) ?? `Rowhouse <no-reply@${new URL(appUrl).hostname}>`,
    socialProviders: {
      github: readProvider(reader, 'GITHUB'),
      google: readProvider(reader, 'GOOGLE'),
    },
    providers: readProviders(reader),
    webhookSecrets: readWebhookSecrets(reader),
    workerKey:
      reader.read('WORKER_KEY', {
        schema: z
          .string()
          .min(32)
          .regex(/^[\x21-\x7e]+$/),
        must: 'at least 32 printable characters without spaces',
        example: 'the output of openssl rand -base64 32',
        isSecret: true,
      }) ?? null,
    connectors: {
      allowLocal: reader.read('ALLOW_LOCAL_CONNECTORS', flag) ?? false,
      allowPrivate: reader.read('ALLOW_PRIVATE_ADDRESSES', flag) ?? false,
    },
    media: readMedia(reader, dataDir),
    maxStreamsPerUser: readLimit(reader, 'MAX_STREAMS_PER_USER') ?? DEFAULT_PLACE_LIMITS.streams,
    quotas: readQuotas(reader),
  }
}

function readAllowedOrigins(reader: ConfigReader): string[] {
  return (
    reader.read('ALLOWED_ORIGINS', {
      schema: z
        .string()
        .transform(text => text.split(',').flatMap(part => part.trim() || []))
        .pipe(z.array(origin)),
      must: 'origins without a path, separated by commas (a * would let any page act for its visitor)',
      example: 'https://app.example.com,https://admin.example.com',
    }) ?? []
  )
}

// In production migrations are a step of the deployment, except for the embedded server, which nothing else reaches.
function readMigrateOnStart(
  reader: ConfigReader,
  environment: Config['environment'],
  database: DatabaseConfig,
): boolean {
  const hasOwner = database.kind === 'embedded' || database.directUrl !== null
  const wanted = reader.read('MIGRATE_ON_START', flag)
  if (wanted && !hasOwner) {
    reader.refuse(
      'DIRECT_URL',
      'is missing, and MIGRATE_ON_START needs the owner',
      'postgres://owner:…@host:5432/db',
    )
  }
  return wanted ?? (hasOwner && (environment !== 'production' || database.kind === 'embedded'))
}

function readSignUp(reader: ConfigReader, environment: Config['environment']): Config['signUp'] {
  const signUp =
    reader.read('SIGN_UP', { schema: z.enum(SIGN_UPS), must: 'open or private', example: 'private' }) ??
    'open'
  if (signUp === 'private' && environment === 'production' && reader.text('SMTP_URL') === undefined) {
    reader.refuse(
      'SMTP_URL',
      'is missing, and with SIGN_UP=private everybody confirms their address by mail',
      'smtp://user:password@mail.example.com:587',
    )
  }
  return signUp
}

function readProvider(reader: ConfigReader, name: string): ProviderConfig | undefined {
  const pair = reader.readPair(`${name}_CLIENT_ID`, `${name}_CLIENT_SECRET`)
  return pair && { clientId: pair[0], clientSecret: pair[1] }
}

function readAuthSecret(reader: ConfigReader): string | undefined {
  const secret = reader.text('AUTH_SECRET')
  if (!isProduction(reader)) return secret
  const problem =
    secret === undefined
      ? `is missing; production wants a random secret of at least ${MIN_SECRET_LENGTH} characters`
      : weaknessOf(secret)
  if (problem) reader.refuse('AUTH_SECRET', problem, '$(openssl rand -base64 32)')
  return secret
}

function generateSecret(generate: () => string): string {
  try {
    return generate()
  } catch (error) {
    if (error instanceof DataFileError) throw new ConfigError([error.message])
    const reader = new ConfigReader({})
    const reason = error instanceof Error ? error.message : String(error)
    reader.refuse('DATA_DIR', `can't hold the development secret (${reason})`, '.rowhouse')
    reader.finish()
    throw error
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}
