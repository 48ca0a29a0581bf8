import { createHmac } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { WaitBounds } from '#server/db/time-budget.ts'
import { requestTrouble } from './database-trouble.ts'
import type { Endpoint, RateLimitGroup } from './endpoints.ts'

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

const PRODUCTION: RateLimits = Object.freeze({
  signUp: { limit: 20, windowSeconds: 60 },
  signIn: { limit: 30, windowSeconds: 60 },
  mail: { limit: 10, windowSeconds: 60 },
  password: { limit: 20, windowSeconds: 60 },
  link: { limit: 60, windowSeconds: 60 },
  general: { limit: 1_200, windowSeconds: 60 },
  accountSignIn: { limit: 20, windowSeconds: 900 },
  accountMail: { limit: 6, windowSeconds: 3_600 },
  // Three codes of a million are good at any time: at this rate, guessing for a month succeeds for one in fifty.
  secondFactor: { limit: 10, windowSeconds: 3_600 },
})

const GENEROSITY = 500

/** The limits of an environment: outside production a test suite may sign hundreds of users up from one address. */
export function defaultRateLimits(environment: string): RateLimits {
  if (environment === 'production') return PRODUCTION
  const generous = Object.entries(PRODUCTION).map(([group, { limit, windowSeconds }]) => [
    group,
    { limit: limit * GENEROSITY, windowSeconds },
  ])
  return Object.fromEntries(generous) as Record<RateLimitGroup, RateLimit>
}

export interface RateLimiter {
  /** Counts a call against its client's address; answers the seconds to wait, or null where the call may go on. */
  takeForClient(endpoint: Endpoint, ipAddress: string): Promise<number | null>
  /** Counts a call against the mail address it names, so that fresh client addresses do not help. */
  takeForAccount(endpoint: Endpoint, email: string): Promise<number | null>
  /** Counts a check of a signed-in user's password. */
  takeForUser(userId: string): Promise<number | null>
  /** Counts a code that is given for a user. */
  takeSecondFactor(userId: string): Promise<number | null>
}

export function createRateLimiter(options: {
  readonly limits: RateLimits
  readonly secret: string
  readonly take: TakeRateLimit
}): RateLimiter {
  const { limits, secret, take } = options

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
    takeForAccount: async (endpoint, email) => {
      const group = ACCOUNT_GROUPS[endpoint.path]
      if (!group) return null
      // Keyed, so that the counters do not tell whose mail addresses were tried.
      const address = email.normalize('NFC').trim().toLowerCase()
      return count(group, createHmac('sha256', secret).update(address).digest('base64url'))
    },
    takeForUser: userId => count('accountSignIn', userId),
    takeSecondFactor: userId => count('secondFactor', userId),
  }
}

// Every attempt counts, right or wrong: counting only failures would mean to look first and count later, and a thousand
// attempts sent at once would all pass the look.
const ACCOUNT_GROUPS: Readonly<Record<string, RateLimitGroup>> = {
  '/sign-in/email': 'accountSignIn',
  '/sign-up/email': 'accountMail',
  '/request-password-reset': 'accountMail',
  '/send-verification-email': 'accountMail',
  '/organization/invite-member': 'accountMail',
}

/** An IPv6 client usually owns its whole /64, so that is what counts as one. */
export function clientKey(ipAddress: string): string {
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
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
