// Browsers from which an account has signed in. A guess from one of them counts separately, so that guesses
// of strangers cannot lock out the owner. Nothing is stored: a signed cookie names the account, and a new
// password invalidates it.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { BoundedPool } from './bounded-pool.ts'
import { readCookie, serializeCookie, signSessionToken, verifySessionToken } from './session-token.ts'

const COOKIE = 'rowhouse.known_devices'
const PURPOSE = 'known-devices:'
const DAYS = 180
/** The number of people who may share one browser. */
const MAX_ACCOUNTS = 5

interface KnownAccount {
  /** The device's id for this account. */
  readonly id: string
  readonly userId: string
  /** The mail address in the form of the counters. */
  readonly address: string
  /** Identifies the password that the account had. */
  readonly password: string
  readonly expiresAt: number
}

export interface KnownDevices {
  /** Reads a request's cookie, if it is validly signed and has not expired. Sends no query. */
  read(headers: Headers): readonly KnownAccount[]
  /** Returns the device's id if the cookie names this account and its password has not changed. */
  find(
    known: readonly KnownAccount[],
    account: { readonly email: string } | { readonly userId: string },
  ): Promise<string | null>
  /** Adds a cookie to the answer that makes the browser known to an account. */
  remember(response: Response, headers: Headers, userId: string): Promise<Response>
}

export function createKnownDevices(options: {
  readonly pool: BoundedPool
  readonly secret: string
  readonly isSecure: boolean
}): KnownDevices {
  const { pool, secret, isSecure } = options
  const name = isSecure ? `__Secure-${COOKIE}` : COOKIE
  const mark = (hash: string | null) => keyed(`${PURPOSE}${hash ?? ''}`, secret).slice(0, 22)

  async function findAccount(userId: string) {
    const { rows } = await pool.query<{ email: string; password: string | null }>(
      `select u.email, a.password
       from auth.users u
       left join auth.accounts a on a.user_id = u.id and a.provider_id = 'credential'
       where u.id = $1`,
      [userId],
    )
    return rows[0]
  }

  function read(headers: Headers): KnownAccount[] {
    const sent = readCookie(headers.get('cookie'), name)
    const text = sent && verifySessionToken(sent, secret)
    if (!text?.startsWith(PURPOSE)) return []
    const json = Buffer.from(text.slice(PURPOSE.length), 'base64url').toString('utf8')
    return (JSON.parse(json) as KnownAccount[]).filter(({ expiresAt }) => expiresAt > Date.now())
  }

  return {
    read,
    find: async (known, account) => {
      const meant = known.find(entry =>
        'email' in account
          ? entry.address === addressKey(account.email, secret)
          : entry.userId === account.userId,
      )
      if (!meant) return null
      const current = await findAccount(meant.userId)
      return current && isSame(meant.password, mark(current.password)) ? meant.id : null
    },
    remember: async (response, headers, userId) => {
      const account = await findAccount(userId)
      if (!account) return response
      const others = read(headers).filter(entry => entry.userId !== userId)
      const own: KnownAccount = {
        id: randomBytes(16).toString('base64url'),
        userId,
        address: addressKey(account.email, secret),
        password: mark(account.password),
        expiresAt: Date.now() + DAYS * 86_400_000,
      }
      const json = JSON.stringify([own, ...others].slice(0, MAX_ACCOUNTS))
      const signed = signSessionToken(`${PURPOSE}${Buffer.from(json).toString('base64url')}`, secret)
      const answer = new Headers(response.headers)
      const cookie = { isSecure, maxAgeSeconds: DAYS * 86_400, path: '/api/auth' }
      answer.append('set-cookie', serializeCookie(name, signed, cookie))
      return new Response(response.body, { status: response.status, headers: answer })
    },
  }
}

/** A keyed hash, so that neither counters nor cookies reveal which mail addresses were tried. */
export function addressKey(email: string, secret: string): string {
  return keyed(email.normalize('NFC').trim().toLowerCase(), secret)
}

function keyed(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url')
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
