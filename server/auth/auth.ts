import type { Pool } from 'pg'
import type { Mailer } from '#server/app/mail.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { TimeBudget } from '#server/db/time-budget.ts'
import type { AuthConfig } from './auth-config.ts'
import { boundByRequest } from './bounded-pool.ts'
import { isUnavailable, type RequestTrouble, requestTrouble } from './database-trouble.ts'
import { askDiscreetly } from './discretion.ts'
import type { RateLimitGroup } from './endpoints.ts'
import { createKnownDevices } from './known-devices.ts'
import { type AuthLog, describeError } from './log.ts'
import { existingAccountMail } from './mails.ts'
import { refuseWithoutFactor } from './organization-factor.ts'
import { createPasswordHashing, type PasswordHashing } from './password-hashing.ts'
import { PasswordsBusyError, type TurnWait } from './password-turns.ts'
import {
  createRateLimiter,
  defaultRateLimits,
  type RateLimit,
  type TakeRateLimit,
  type TakeTurn,
} from './rate-limits.ts'
import { BASE_PATH, type PreparedRequest, prepareRequest } from './request.ts'
import { busy, clientLeft, finishResponse, nobody, refuse, tooManyRequests, unavailable } from './response.ts'
import { createSecondFactorStore } from './second-factor-store.ts'

export interface AuthOptions {
  readonly config: AuthConfig
  /** Connections of rowhouse_auth. The caller must end the pool. */
  readonly pool: Pool
  /** app.take_rate_limit, through rowhouse_system. */
  readonly takeRateLimit: TakeRateLimit
  /** app.take_turn, through rowhouse_system. */
  readonly takeTurn: TakeTurn
  /** Encrypts the tokens of sign-in providers. */
  readonly keyring: Keyring
  readonly mailer: Mailer
  readonly log: AuthLog
  /** Overrides the environment's limits, by group. */
  readonly rateLimits?: Partial<Record<RateLimitGroup, RateLimit>>
  /** Replaces the default hashing threads; closed together with this. */
  readonly hashing?: PasswordHashing
}

interface ClientOfRequest {
  /** The client's address, determined by the HTTP layer. Headers of the request are not trusted. */
  readonly ipAddress: string
  /** The port that received the request. */
  readonly port?: number | undefined
  /** Runs a queued wait so that it takes no capacity from other calls. */
  readonly aside?: TurnWait['aside']
}

export interface Auth {
  /** Answers every request below /api/auth. Never throws: logs an unexpected error and answers 500. */
  handler(request: Request, client: ClientOfRequest): Promise<Response>
  /**
   * Returns whether this is the user's password; false also for a user without one. Counts as an attempt;
   * throws {@link TooManyAttemptsError} past the limit, and {@link PasswordsBusyError} if too many passwords
   * wait to be hashed.
   */
  verifyPassword(userId: string, password: string): Promise<boolean>
  /** Loads the library before the first request. */
  warmUp(): Promise<void>
  /** Waits for background work. */
  close(): Promise<void>
}

export class TooManyAttemptsError extends Error {
  readonly retryAfterSeconds: number

  constructor(retryAfterSeconds: number) {
    super(`too many attempts; try again in ${retryAfterSeconds} s`)
    this.name = 'TooManyAttemptsError'
    this.retryAfterSeconds = retryAfterSeconds
  }
}

const ADDRESS_HEADER = 'x-rowhouse-client-address'
const PORT_HEADER = 'x-rowhouse-port'

/**
 * Sign-up, sign-in, sessions and organizations: Better Auth behind a list of endpoints, limits and hashed
 * secrets.
 */
export function createAuth(options: AuthOptions): Auth {
  const { config, log } = options
  const background = new Set<Promise<unknown>>()
  const limiter = createRateLimiter({
    limits: { ...defaultRateLimits(config.environment), ...options.rateLimits },
    secret: config.authSecret,
    take: options.takeRateLimit,
    takeTurn: options.takeTurn,
  })
  const isSecure = config.appUrl.startsWith('https://')
  const pool = boundByRequest(options.pool)
  const secondFactors = createSecondFactorStore(pool)
  const hashing = options.hashing ?? createPasswordHashing()
  const devices = createKnownDevices({ pool, secret: config.authSecret, isSecure })

  function runInBackground(work: Promise<unknown>): void {
    const guarded = work.catch(error => log.error({ error: describeError(error) }, 'background work failed'))
    background.add(guarded)
    void guarded.finally(() => background.delete(guarded))
  }

  // The library takes about 30 MB, so it is loaded only when a process needs it.
  let loading: ReturnType<typeof load> | undefined
  async function load() {
    const [{ setUpBetterAuth }, { checkSecondFactor }, { factorOfRequest }] = await Promise.all([
      import('./better-auth.ts'),
      import('./second-factor.ts'),
      import('./second-factor-gate.ts'),
    ])
    const auth = await setUpBetterAuth({
      ...options,
      pool,
      hashing,
      addressHeader: ADDRESS_HEADER,
      portHeader: PORT_HEADER,
      runInBackground,
    })
    return { auth, context: await auth.$context, checkSecondFactor, factorOfRequest }
  }
  function library() {
    loading ??= load()
    return loading
  }

  async function answer(
    request: Request,
    client: ClientOfRequest,
    trouble: RequestTrouble,
  ): Promise<Response> {
    const prepared = await prepareRequest(request, { isSecure, authSecret: config.authSecret })
    if (prepared instanceof Response) return prepared
    const { endpoint, sessionToken } = prepared
    if (endpoint.needsSession && sessionToken === null) return nobody(endpoint)
    const wait = await count(prepared, client)
    if (wait !== null) return tooManyRequests(wait)
    const lacking = await refuseWithoutFactor(prepared, pool)
    if (lacking) return lacking
    const { auth, context, checkSecondFactor, factorOfRequest } = await library()
    const checked = await checkSecondFactor(prepared, {
      store: secondFactors,
      limiter,
      devices,
      authSecret: config.authSecret,
      isSecure,
      appOrigin: new URL(config.appUrl).origin,
      context,
    })
    if (checked instanceof Response) return checked
    const { headers, body, factor } = checked
    headers.set(ADDRESS_HEADER, client.ipAddress)
    headers.set(PORT_HEADER, String(client.port ?? ''))
    const response = await askDiscreetly({
      path: endpoint.path,
      email: prepared.email,
      isPrivate: config.signUp === 'private',
      ask: () =>
        hashing.hashingFirst(endpoint.path, prepared.input, () =>
          factorOfRequest.run(factor, () =>
            auth.handler(new Request(request.url, { method: request.method, headers, body })),
          ),
        ),
      mailOwner: address => runInBackground(options.mailer.send(existingAccountMail(address, config.appUrl))),
    })
    if (trouble.isDatabaseUnavailable) return unavailable()
    const finished = await finishResponse(await checked.finish(response))
    const { admittedUserId } = factor
    return admittedUserId !== null && finished.status < 400
      ? devices.remember(finished, prepared.headers, admittedUserId)
      : finished
  }

  /** Counts a call; returns the seconds to wait, or null if it may continue. */
  async function count({ endpoint, email, headers }: PreparedRequest, client: ClientOfRequest) {
    const deviceId = email === null ? null : await devices.find(devices.read(headers), { email })
    // Strangers cannot use up a known device's limit, not even from the same address.
    if (deviceId !== null) return limiter.takeForDevice(endpoint, deviceId)
    const wait = await limiter.takeForClient(endpoint, client.ipAddress)
    return wait ?? (email === null ? null : limiter.takeForAccount(endpoint, email, client.ipAddress))
  }

  return {
    handler: async (request, client) => {
      const trouble = { isDatabaseUnavailable: false, budget: new TimeBudget(), signal: request.signal }
      try {
        const path = new URL(request.url).pathname.slice(BASE_PATH.length)
        const wait = { signal: request.signal, aside: client.aside }
        return await requestTrouble.run(trouble, () =>
          hashing.inTurn(path, wait, () => answer(request, client, trouble)),
        )
      } catch (error) {
        if (error instanceof PasswordsBusyError) return busy(error)
        if (isUnavailable(error)) return unavailable()
        if (request.signal.aborted) return clientLeft()
        log.error({ error: describeError(error) }, 'a request to sign in failed unexpectedly')
        return refuse(500, 'INTERNAL_SERVER_ERROR', 'Something went wrong')
      }
    },
    verifyPassword: async (userId, password) => {
      const wait = await limiter.takeForUser(userId)
      if (wait !== null) throw new TooManyAttemptsError(wait)
      const { context } = await library()
      const account = await context.internalAdapter.findCredentialAccount(userId)
      if (!account?.password || password.length > context.password.config.maxPasswordLength) return false
      return context.password.verify({ hash: account.password, password })
    },
    warmUp: async () => {
      await library()
    },
    close: async () => {
      await Promise.all(background)
      await hashing.close()
    },
  }
}
