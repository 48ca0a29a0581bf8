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

/** Counts one call in the database, atomically over all processes. */
export type TakeRateLimit = (
  key: string,
  limit: number,
  windowSeconds: number,
  bounds: WaitBounds,
) => Promise<{ isAllowed: boolean; retryAfterSeconds: number }>

/** Admits a key once its wait is over; returns 0 then, else the remaining seconds. See app.take_turn. */
export type TakeTurn = (
  key: string,
  firstSeconds: number,
  longestSeconds: number,
  bounds: WaitBounds,
) => Promise<number>

/** The wait of one network between guesses at an account that has too many guesses; doubled each time. */
const TURNS = Object.freeze({ firstSeconds: 30, longestSeconds: 900 })

const PRODUCTION: RateLimits = Object.freeze({
  signUp: { limit: 20, windowSeconds: 60 },
  signIn: { limit: 30, windowSeconds: 60 },
  mail: { limit: 10, windowSeconds: 60 },
  password: { limit: 20, windowSeconds: 60 },
  link: { limit: 60, windowSeconds: 60 },
  general: { limit: 1_200, windowSeconds: 60 },
  accountSignIn: { limit: 20, windowSeconds: 900 },
  // Limits a guesser with many networks, each of which waits separately. The owner can then sign in from a
  // known device.
  accountTurn: { limit: 2_000, windowSeconds: 86_400 },
  accountMail: { limit: 6, windowSeconds: 3_600 },
  // Three codes of a million are valid at any time: at this rate, one of fifty guessers succeeds within a
  // month.
  secondFactor: { limit: 10, windowSeconds: 3_600 },
})

const GENEROSITY = 500

/**
 * The default limits of an environment. Outside production they are high, since a test suite may sign up
 * hundreds of users from one address.
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
   * Counts a call for its client's address; returns the seconds to wait, or null if the call may continue.
   */
  takeForClient(endpoint: Endpoint, ipAddress: string): Promise<number | null>
  /**
   * Counts a call for the mail address that it names, so that new client addresses do not help. Past the
   * limit of sign-ins, each network waits for its own turn: others can use up the limit, but cannot lengthen
   * the owner's wait.
   */
  takeForAccount(endpoint: Endpoint, email: string, ipAddress: string): Promise<number | null>
  /** Counts a call from a known device of the account, whose limit others cannot use up. */
  takeForDevice(endpoint: Endpoint, deviceId: string): Promise<number | null>
  /** Counts a check of a signed-in user's password; separately for a known device. */
  takeForUser(userId: string, deviceId?: string | null): Promise<number | null>
  /** Counts a code for a user; separately for a known device. */
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

// Every attempt counts, right or wrong: if only failures counted, a thousand concurrent attempts would all
// pass the check before the first is counted.
const ACCOUNT_GROUPS: Readonly<Record<string, RateLimitGroup>> = {
  '/sign-in/email': 'accountSignIn',
  '/sign-up/email': 'accountMail',
  '/request-password-reset': 'accountMail',
  '/send-verification-email': 'accountMail',
  '/organization/invite-member': 'accountMail',
}

/** An IPv6 client usually owns its whole /64, which therefore counts as one client. */
export function clientKey(ipAddress: string): string {
  return prefixOf(ipAddress, 4)
}

/** A guesser with a /48 has 65,536 networks of /64: they all share one wait. */
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
