// The second factor around the library. Before it: who may ask for what, how often, and spending a code.
// After it: the challenge that answers a sign-in without the factor, and trust in a device.

import { randomBytes } from 'node:crypto'
import { symmetricDecrypt } from 'better-auth/crypto'
import type { KnownDevices } from './known-devices.ts'
import type { RateLimiter } from './rate-limits.ts'
import type { PreparedRequest } from './request.ts'
import { refuse, tooManyRequests } from './response.ts'
import { CHALLENGE_CODE, type FactorOfRequest } from './second-factor-gate.ts'
import type { SecondFactorStore, SessionAndFactor } from './second-factor-store.ts'
import {
  readCookie,
  serializeCookie,
  sessionCookieName,
  signSessionToken,
  verifySessionToken,
} from './session-token.ts'
import { findTotpStep } from './totp.ts'

/**
 * For callers without cookies: the answer to a password has the first header, the call with the code has the
 * second.
 */
const CHALLENGE_ANSWER_HEADER = 'set-two-factor-token'
const CHALLENGE_HEADER = 'x-two-factor-token'

const CHALLENGE_MINUTES = 10
const TRUST_DAYS = 30

const VERIFYING = new Set(['/two-factor/verify-totp', '/two-factor/verify-backup-code'])
const CHANGING = new Set(['/two-factor/enable', '/two-factor/disable', '/two-factor/generate-backup-codes'])

// The library's cookie names. It reads the challenge's cookie itself, and the other one when it creates the
// session.
const CHALLENGE_COOKIE = 'better-auth.two_factor'
const FORGET_COOKIE = 'better-auth.dont_remember'
const DEVICE_COOKIE = 'rowhouse.trusted_device'

/** The library's own prefix, with a mark for a session that must not be remembered. */
const CHALLENGE_ID = /^2fa-(once-)?/

export interface SecondFactorParts {
  readonly store: SecondFactorStore
  readonly limiter: RateLimiter
  readonly devices: KnownDevices
  readonly authSecret: string
  readonly isSecure: boolean
  readonly appOrigin: string
  /** The part of Better Auth's context that is needed here. */
  readonly context: {
    readonly secretConfig: Parameters<typeof symmetricDecrypt>[0]['key']
    readonly internalAdapter: {
      findVerificationValue(identifier: string): Promise<{ value: string; expiresAt: Date } | null>
      createVerificationValue(row: { value: string; identifier: string; expiresAt: Date }): Promise<unknown>
    }
  }
}

export interface FactorCheck {
  /** The headers for the library, in place of the request's own. */
  readonly headers: Headers
  readonly body: string | null
  readonly factor: FactorOfRequest
  /** Turns the library's answer into the final one. */
  finish(response: Response): Promise<Response>
}

interface Subject {
  readonly userId: string
  readonly session: SessionAndFactor | null
}

/** Checks one request before the library; returns a Response to refuse it. */
export async function checkSecondFactor(
  prepared: PreparedRequest,
  parts: SecondFactorParts,
): Promise<FactorCheck | Response> {
  const { path } = prepared.endpoint
  const { store, limiter, devices } = parts
  const headers = new Headers(prepared.headers)
  const asksForSession = VERIFYING.has(path) || CHANGING.has(path) || path === '/change-password'
  const session =
    asksForSession && prepared.sessionToken !== null ? await store.findSession(prepared.sessionToken) : null
  let body = prepared.body
  let subject: Subject | null = null

  const deviceOf = (userId: string) => devices.find(devices.read(headers), { userId })
  if ((CHANGING.has(path) || path === '/change-password') && session) {
    const wait = await limiter.takeForUser(session.userId, await deviceOf(session.userId))
    if (wait !== null) return tooManyRequests(wait)
    const stale = CHANGING.has(path) ? staleness(path, session) : null
    if (stale) return stale
  }
  if (VERIFYING.has(path)) {
    const challenge = session ? null : readChallenge(headers, parts)
    if (challenge) carryChallenge(headers, challenge, parts)
    subject = session ? { userId: session.userId, session } : await challengedUser(challenge, parts)
    const code = fieldOf(prepared.input, 'code')
    if (subject && typeof code === 'string') {
      const wait = await limiter.takeSecondFactor(subject.userId, await deviceOf(subject.userId))
      if (wait !== null) return tooManyRequests(wait)
      if (path === '/two-factor/verify-totp' && !(await spendTotp(subject.userId, code, parts))) {
        return refuse(401, 'INVALID_CODE', 'Invalid code')
      }
      // Only the code: the library has its own trust in devices, which nothing could revoke.
      body = JSON.stringify({ code })
    }
  }

  const factor: FactorOfRequest = {
    provenUserId: subject?.userId ?? null,
    session: session && !VERIFYING.has(path) ? session : null,
    deviceToken: readDevice(headers, parts),
    challengedUserId: null,
    admittedUserId: path === '/change-password' && session ? session.userId : null,
  }
  return {
    headers,
    body,
    factor,
    finish: async response => {
      if (factor.challengedUserId !== null) {
        return challenge(response, { userId: factor.challengedUserId, prepared, parts })
      }
      if (!subject || response.status !== 200) return response
      if (subject.session && prepared.sessionToken !== null) await store.refreshSession(prepared.sessionToken)
      return fieldOf(prepared.input, 'trustDevice') === true
        ? trustDevice(response, { userId: subject.userId, prepared, parts })
        : response
    },
  }
}

/** Changing the factor requires a code of the last ten minutes; the library asks for the password. */
function staleness(path: string, session: SessionAndFactor): Response | null {
  if (path !== '/two-factor/enable' && session.hasFactor && !session.isFactorFresh) {
    return refuse(403, 'SESSION_NOT_FRESH', 'Send a code to /two-factor/verify-totp first, then try again')
  }
  if (!session.hasPassword && !session.isFresh && !session.isFactorFresh) {
    return refuse(403, 'SESSION_NOT_FRESH', 'Sign in again first, then try again')
  }
  return null
}

async function spendTotp(userId: string, code: string, parts: SecondFactorParts): Promise<boolean> {
  const sealed = await parts.store.findSecret(userId)
  // The library answers that it is missing.
  if (sealed === null) return true
  const secret = await symmetricDecrypt({ key: parts.context.secretConfig, data: sealed })
  const step = findTotpStep(secret, code, Date.now())
  return step !== null && parts.store.spendStep(userId, step)
}

/** The challenge of a request, from the header or the cookie; null if missing or wrongly signed. */
function readChallenge(headers: Headers, parts: SecondFactorParts): string | null {
  const sent =
    headers.get(CHALLENGE_HEADER) ?? readCookie(headers.get('cookie'), nameOf(CHALLENGE_COOKIE, parts))
  return sent && verifySessionToken(sent, parts.authSecret) !== null ? sent : null
}

async function challengedUser(challenge: string | null, parts: SecondFactorParts): Promise<Subject | null> {
  const identifier = challenge && verifySessionToken(challenge, parts.authSecret)
  if (!identifier || !CHALLENGE_ID.test(identifier)) return null
  const pending = await parts.context.internalAdapter.findVerificationValue(identifier)
  return pending && pending.expiresAt > new Date() ? { userId: pending.value, session: null } : null
}

/** Adds the challenge as the cookie that the library reads. */
function carryChallenge(headers: Headers, challenge: string, parts: SecondFactorParts): void {
  const cookies = headers.get('cookie')
  const pairs = [
    ...(cookies ?? '')
      .split(';')
      .filter(pair => pair.split('=')[0]?.trim() !== nameOf(CHALLENGE_COOKIE, parts)),
    `${nameOf(CHALLENGE_COOKIE, parts)}=${encoded(challenge)}`,
  ]
  if (verifySessionToken(challenge, parts.authSecret)?.startsWith('2fa-once-')) {
    pairs.push(`${nameOf(FORGET_COOKIE, parts)}=${encoded(signSessionToken('true', parts.authSecret))}`)
  }
  headers.set(
    'cookie',
    pairs
      .map(pair => pair.trim())
      .filter(Boolean)
      .join('; '),
  )
  // A foreign page cannot send this header without a preflight; a caller without cookies has no origin
  // either.
  if (cookies === null && headers.has(CHALLENGE_HEADER)) headers.set('origin', parts.appOrigin)
}

/**
 * Answers a sign-in that lacks the second factor: the challenge in a cookie and a header, without a session.
 */
async function challenge(
  refused: Response,
  { userId, prepared, parts }: { userId: string; prepared: PreparedRequest; parts: SecondFactorParts },
): Promise<Response> {
  const isOnce = fieldOf(prepared.input, 'rememberMe') === false
  const identifier = `2fa-${isOnce ? 'once-' : ''}${randomBytes(24).toString('base64url')}`
  const expiresAt = new Date(Date.now() + CHALLENGE_MINUTES * 60_000)
  const { internalAdapter } = parts.context
  await internalAdapter.createVerificationValue({ value: userId, identifier, expiresAt })
  await internalAdapter.createVerificationValue({
    value: '0',
    identifier: `2fa-attempts-${identifier}`,
    expiresAt,
  })
  const signed = signSessionToken(identifier, parts.authSecret)
  const headers = new Headers(refused.headers)
  for (const name of ['set-cookie', 'set-auth-token', 'content-length']) headers.delete(name)
  for (const cookie of refused.headers.getSetCookie()) {
    if (!cookie.startsWith(`${sessionCookieName(parts.isSecure)}=`)) headers.append('set-cookie', cookie)
  }
  headers.append(
    'set-cookie',
    serializeCookie(nameOf(CHALLENGE_COOKIE, parts), signed, {
      isSecure: parts.isSecure,
      maxAgeSeconds: CHALLENGE_MINUTES * 60,
    }),
  )
  if (refused.status >= 300 && refused.status < 400) {
    return new Response(null, { status: refused.status, headers })
  }
  headers.set(CHALLENGE_ANSWER_HEADER, signed)
  return Response.json(
    { code: CHALLENGE_CODE, twoFactorRedirect: true, twoFactorMethods: ['totp', 'backup-code'] },
    { status: 200, headers },
  )
}

async function trustDevice(
  response: Response,
  { userId, prepared, parts }: { userId: string; prepared: PreparedRequest; parts: SecondFactorParts },
): Promise<Response> {
  const deviceToken = randomBytes(32).toString('base64url')
  const userAgent = prepared.headers.get('user-agent')
  await parts.store.trustDevice({ userId, deviceToken, userAgent, days: TRUST_DAYS })
  const headers = new Headers(response.headers)
  headers.append(
    'set-cookie',
    serializeCookie(nameOf(DEVICE_COOKIE, parts), signSessionToken(deviceToken, parts.authSecret), {
      isSecure: parts.isSecure,
      maxAgeSeconds: TRUST_DAYS * 24 * 60 * 60,
    }),
  )
  return new Response(response.body, { status: response.status, headers })
}

function readDevice(headers: Headers, parts: SecondFactorParts): string | null {
  const sent = readCookie(headers.get('cookie'), nameOf(DEVICE_COOKIE, parts))
  return sent && verifySessionToken(sent, parts.authSecret)
}

function nameOf(cookie: string, { isSecure }: SecondFactorParts): string {
  return isSecure ? `__Secure-${cookie}` : cookie
}

function encoded(signed: string): string {
  return signed.includes('%') ? signed : encodeURIComponent(signed)
}

function fieldOf(input: unknown, name: string): unknown {
  return typeof input === 'object' && input !== null ? Reflect.get(input, name) : undefined
}
