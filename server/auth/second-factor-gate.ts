import { AsyncLocalStorage } from 'node:async_hooks'
import { APIError } from 'better-auth/api'
import type { SecondFactorStore } from './second-factor-store.ts'

/** One request's evidence of a second factor, and the user who was asked for it. */
export interface FactorOfRequest {
  /** The user whose code this request's endpoint checks before it creates a session. */
  readonly provenUserId: string | null
  /** The caller's session, if the endpoint replaces it. */
  readonly session: { readonly userId: string; readonly secondFactorAt: Date | null } | null
  /** The token in the cookie of a trusted device. */
  readonly deviceToken: string | null
  /** Set by the gate: the user who lacks only the second factor. */
  challengedUserId: string | null
  /** Set by the gate and by a password reset: the user whose account this browser has proved to know. */
  admittedUserId: string | null
}

export const factorOfRequest = new AsyncLocalStorage<FactorOfRequest>()

/** The value of `error` in the URL that a sign-in through a provider returns to. */
export const CHALLENGE_CODE = 'two_factor_required'

/**
 * Returns when the second factor of a new session was given, or null for a user without one. Throws if it is
 * missing, before a token exists, so that the answer to a password alone contains none. The table also
 * refuses a session that bypasses this check.
 */
export async function passGate(options: {
  readonly userId: string
  readonly hasFactor: () => Promise<boolean>
  readonly store: SecondFactorStore
}): Promise<Date | null> {
  const { userId, hasFactor, store } = options
  const request = factorOfRequest.getStore()
  if (request) request.admittedUserId = userId
  if (request?.provenUserId === userId) return new Date()
  if (request?.session?.userId === userId) return request.session.secondFactorAt
  if (!(await hasFactor())) return null
  const trusted = request?.deviceToken ? await store.findTrustedDevice(userId, request.deviceToken) : null
  if (trusted) return trusted
  if (request) {
    request.challengedUserId = userId
    request.admittedUserId = null
  }
  throw APIError.from('FORBIDDEN', {
    code: CHALLENGE_CODE,
    message: 'Enter a code of your authenticator app, or a backup code',
  })
}
