import { isIPv6 } from 'node:net'
import type { WaitBounds } from '#server/db/time-budget.ts'
import { requestTrouble } from './database-trouble.ts'
import type { Endpoint, RateLimitGroup } from './endpoints.ts'
import { addressKey } from './known-devices.ts'

export interface RateLimit {
  readonly limit: number
  readonly windowSeconds: number
}

export type RateLimits = Readonly<Record<RateLimitGroup, RateLimit>>

/** Counts one call in the database, atomically and for all processes. */
export type TakeRateLimit = (
  key: string,
  limit: number,
  windowSeconds: number,
  bounds: WaitBounds,
) => Promise<{ isAllowed: boolean; retryAfterSeconds: number }>

/**
 * Lets a key through once its wait is over; answers 0 then, else the seconds that are left. See
 * app.take_turn.
 */
export type TakeTurn = (
  key: string,
  firstSeconds: number,
  longestSeconds: number,
  bounds: WaitBounds,
) => Promise<number>

/** What one network waits between guesses at an account that too many guess at: twice as long every time. */
const TURNS = Object.freeze({ firstSeconds: 30, longestSeconds: 900 })

const PRODUCTION: RateLimits = Object.freeze({
  signUp: { limit: 20, windowSeconds: 60 },
  signIn: { limit: 30, windowSeconds: 60 },
  mail: { limit: 10, windowSeconds: 60 },
  password: { limit: 20, windowSeconds: 60 },
  link: { limit: 60, windowSeconds: 60 },
  general: { limit: 1_200, windowSeconds: 60 },
  accountSignIn: { limit: 20, windowSeconds: 900 },
  // Bounds a guesser with many networks, each of which waits on its own. The owner signs in from a known
  // device then.
  accountTurn: { limit: 2_000, windowSeconds: 86_400 },
  accountMail: { limit: 6, windowSeconds: 3_600 },
  // Three codes of a million are good at any time: at this rate, guessing for a month succeeds for one in
  // fifty.
  secondFactor: { limit: 10, windowSeconds: 3_600 },
})

const GENEROSITY = 500

/**
 * The limits of an environment: outside production a test suite may sign hundreds of users up from one
 * address.
 */
export function defaultRateLimits(environment: string): RateLimits {
  if (environment === 'production') return PRODUCTION
  const generous = Object.entries(PRODUCTION).map(([group, { limit, windowSeconds }]) => [
    group,
    { limit: limit * GENEROSITY, windowSeconds },
  ])
  return Object.fromEntries(generous) as Record<RateLimitGroup, RateLimit>
}

export interface RateLimiter {
  /**
   * Counts a call against its client's address; answers the seconds to wait, or null where the call may go
   * on.
   */
  takeForClient(endpoint: Endpoint, ipAddress: string): Promise<number | null>
  /**
   * Counts a call against the mail address it names, so that fresh client addresses do not help. Past the
   * limit of sign-ins, each network waits for its own turn: others can use the limit up, and cannot make the
   * owner's wait longer.
   */
  takeForAccount(endpoint: Endpoint, email: string, ipAddress: string): Promise<number | null>
  /** Counts a call from a device that the account knows: others cannot use its limit up. */
  takeForDevice(endpoint: Endpoint, deviceId: string): Promise<number | null>
  /** Counts a check of a signed-in user's password; from a known device on its own. */
  takeForUser(userId: string, deviceId?: string | null): Promise<number | null>
  /** Counts a code that is given for a user; from a known device on its own. */
  takeSecondFactor(userId: string, deviceId: string | null): Promise<number | null>
}

export function createRateLimiter(options: {
  readonly limits: RateLimits
  readonly secret: string
  readonly take: TakeRateLimit
  readonly takeTurn: TakeTurn
}): RateLimiter {
  const { limits, secret, take, takeTurn } = options

  async function count(group: RateLimitGroup, key: string): Promise<number | null> {
    const { limit, windowSeconds } = limits[group]
    const { isAllowed, retryAfterSeconds } = await take(
      `auth:${group}:${key}`,
      limit,
      windowSeconds,
      requestTrouble.getStore() ?? {},
    )
    return isAllowed ? null : retryAfterSeconds
  }

  return {
    takeForClient: (endpoint, ipAddress) => count(endpoint.group, clientKey(ipAddress)),
    takeForAccount: async (endpoint, email, ipAddress) => {
      const group = ACCOUNT_GROUPS[endpoint.path]
      if (!group) return null
      const account = addressKey(email, secret)
      if (group !== 'accountSignIn') return count(group, `${endpoint.path}:${account}`)
      if ((await count(group, account)) === null) return null
      const { firstSeconds, longestSeconds } = TURNS
      const key = `auth:turn:${account}:${networkKey(ipAddress)}`
      const wait = await takeTurn(key, firstSeconds, longestSeconds, requestTrouble.getStore() ?? {})
      return wait > 0 ? wait : count('accountTurn', account)
    },
    takeForDevice: async (endpoint, deviceId) => {
      const group = ACCOUNT_GROUPS[endpoint.path]
      return group ? count(group, `${endpoint.path}:device:${deviceId}`) : null
    },
    takeForUser: (userId, deviceId = null) => count('accountSignIn', deviceKey(userId, deviceId)),
    takeSecondFactor: (userId, deviceId) => count('secondFactor', deviceKey(userId, deviceId)),
  }
}

function deviceKey(userId: string, deviceId: string | null): string {
  return deviceId === null ? userId : `${userId}:device:${deviceId}`
}

// Every attempt counts, right or wrong: counting only failures would mean to look first and count later, and
// a thousand attempts sent at once would all pass the look.
const ACCOUNT_GROUPS: Readonly<Record<string, RateLimitGroup>> = {
  '/sign-in/email': 'accountSignIn',
  '/sign-up/email': 'accountMail',
  '/request-password-reset': 'accountMail',
  '/send-verification-email': 'accountMail',
  '/organization/invite-member': 'accountMail',
}

/** An IPv6 client usually owns its whole /64, so that is what counts as one. */
export function clientKey(ipAddress: string): string {
  return prefixOf(ipAddress, 4)
}

/** A guesser with a /48 has 65,536 networks of /64: all of them share one wait. */
function networkKey(ipAddress: string): string {
  return prefixOf(ipAddress, 3)
}

function prefixOf(ipAddress: string, groupCount: 3 | 4): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ipAddress)
  if (mapped?.[1]) return mapped[1]
  if (!isIPv6(ipAddress)) return ipAddress
  const [head = '', tail] = (ipAddress.split('%')[0] ?? '').toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return `${groups
    .slice(0, groupCount)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/${groupCount * 16}`
}
