import { type Auth, createAuth, TooManyAttemptsError } from '#server/auth/auth.ts'
import { invitationMail } from '#server/auth/mails.ts'
import { PasswordsBusyError } from '#server/auth/password-turns.ts'
import { defaultRateLimits } from '#server/auth/rate-limits.ts'
import { checkBeforeSealing } from '#server/crypto/check.ts'
import { type Keyring, parseKeyring } from '#server/crypto/keyring.ts'
import type { Identity } from '#server/db/identity.ts'
import { createLive, type Live } from '#server/live/live.ts'
import { type LoginUrls, openPools, type Pools } from '#server/postgres/pools.ts'
import { createInspections, type Inspections } from '#server/rooms/media/inspection/inspections.ts'
import { type MediaStore, openMediaStore } from '#server/rooms/media/store.ts'
import { AppError } from '#server/rpc/errors.ts'
import { createPlaces, type Places } from '#server/system/places.ts'
import type { ProvidersConfig } from './config/providers.ts'
import type { Config, ConnectorRules } from './config.ts'
import type { Logger } from './logger.ts'
import { createMailer } from './mail.ts'

/** What procedures need besides their caller: made once a process. */
export interface Services {
  readonly pools: Pools
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>
  readonly authSecret: string
  /** Opens the secrets that users keep here. */
  readonly keyring: Keyring
  /** The same keyring to seal with, once the database's check values have shown that it is the right one. */
  readonly sealingKeyring: () => Promise<Keyring>
  readonly appUrl: string
  /** Origins besides `appUrl` that a browser may be sent back to. */
  readonly allowedOrigins: readonly string[]
  /** The operator's apps at each provider. */
  readonly providers: ProvidersConfig
  /** Whether the application is served over HTTPS, so that cookies say `Secure`. */
  readonly isSecure: boolean
  /** The operator's worker key; null where no worker may claim across users. */
  readonly workerKey: string | null
  readonly live: Live
  /** What each user holds at a time: streams, uploads, exports. */
  readonly places: Places
  /** Where the files of media items are kept. */
  readonly media: MediaStore
  /** Looks into the files that arrive there. */
  readonly inspections: Inspections
  /** What users' connectors may do from this machine. */
  readonly connectors: ConnectorRules
  readonly quotas: Config['quotas']
  /** Whether this is the user's password. Throws `rate_limited` after too many attempts. */
  readonly verifyPassword: (userId: string, password: string) => Promise<boolean>
  /** How many invitations one address may get in an hour. */
  readonly maxMailsPerHour: number
  /** Sends an invitation's link to its address, without waiting for it to arrive. */
  readonly mailInvitation: (inviter: Identity, invitation: MailedInvitation) => void
}

interface MailedInvitation {
  readonly id: string
  readonly email: string
  readonly inviterName: string
  readonly organizationName: string
}

/** The services of a process that also serves sign-in, and how to end them. */
export interface ServingServices extends Services {
  readonly auth: Auth
  close(): Promise<void>
}

/** Wires the services. Connects to nothing: the first statement does. */
export function createServices(config: Config, urls: LoginUrls, log: Logger): ServingServices {
  const keyring = parseKeyring(config.encryptionKeys)
  const pools = openPools(urls, {
    maxConnections: config.poolSize,
    // The pool hangs its client on the error, the key that cancels its statements included.
    onIdleError: error => log.warn({ reason: error.message }, 'an idle database connection ended'),
    onStatement: log.isLevelEnabled('debug')
      ? (sql, durationMs) => log.debug({ sql, durationMs }, 'statement')
      : undefined,
  })
  const places = createPlaces({ system: pools.system, limits: { streams: config.maxStreamsPerUser } })
  const live = createLive({ pools, listenUrl: urls.listen, authSecret: config.authSecret, log, places })
  const mailer = createMailer({
    smtpUrl: config.smtpUrl,
    from: config.emailFrom,
    environment: config.environment,
    log,
  })
  const auth = createAuth({
    config,
    pool: pools.auth,
    takeRateLimit: (key, limit, windowSeconds, bounds) =>
      pools.system.within(bounds).takeRateLimit(key, limit, windowSeconds),
    takeTurn: (key, firstSeconds, longestSeconds, bounds) =>
      pools.system.within(bounds).takeTurn(key, firstSeconds, longestSeconds),
    keyring,
    mailer,
    log,
  })
  const inspections = createInspections()
  return {
    pools,
    log,
    authSecret: config.authSecret,
    keyring,
    sealingKeyring: checkBeforeSealing(pools.system, keyring),
    appUrl: config.appUrl,
    allowedOrigins: config.allowedOrigins,
    providers: config.providers,
    isSecure: config.appUrl.startsWith('https:'),
    workerKey: config.workerKey,
    live,
    places,
    media: openMediaStore(config.media, config),
    inspections,
    connectors: config.connectors,
    quotas: config.quotas,
    verifyPassword: (userId, password) => auth.verifyPassword(userId, password).catch(asRefusal),
    maxMailsPerHour: defaultRateLimits(config.environment).accountMail.limit,
    mailInvitation: (_inviter, { id, email, inviterName, organizationName }) => {
      const url = `${new URL(config.appUrl).origin}/accept-invitation/${id}`
      void mailer.send(invitationMail(email, { inviter: inviterName, organization: organizationName, url }))
    },
    auth,
    async close() {
      inspections.close()
      await live.close()
      await places.close()
      await auth.close()
      await mailer.close()
      await pools.close()
    },
  }
}

function asRefusal(error: unknown): never {
  if (error instanceof PasswordsBusyError) {
    throw new AppError('overloaded', error.message, { retryAt: error.retryAt, cause: error })
  }
  if (!(error instanceof TooManyAttemptsError)) throw error
  const retryAt = new Date(Date.now() + error.retryAfterSeconds * 1_000)
  throw new AppError('rate_limited', 'too many attempts; try again later', { retryAt, cause: error })
}
