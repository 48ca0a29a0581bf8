import { AsyncLocalStorage } from 'node:async_hooks'
import { APIError } from 'better-auth/api'
import type { SecondFactorStore } from './second-factor-store.ts'

/** What one request has to show for a second factor, and whom it was asked of. */
export interface FactorOfRequest {
  /** Whose code this request's endpoint checks before it makes a session. */
  readonly provenUserId: string | null
  /** The session that asks, where the endpoint puts another in its place. */
  readonly session: { readonly userId: string; readonly secondFactorAt: Date | null } | null
  /** What the cookie of a trusted device carries. */
  readonly deviceToken: string | null
  /** Set here: the user who has shown all but the second factor. */
  challengedUserId: string | null
  /** Set here and by a password reset: the user whose account this browser has proved to know. */
  admittedUserId: string | null
}

export const factorOfRequest = new AsyncLocalStorage<FactorOfRequest>()

/** What an app finds as `error` in the address that a sign-in through a provider comes back to. */
export const CHALLENGE_CODE = 'two_factor_required'

/**
 * Answers when the second factor of a session about to be made was given, or null for a user without one.
 * Throws where it is missing, before there is a token: the answer to a password alone then carries none.
 * Whatever passes by here, the table refuses.
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
    message: 'Give a code of your authenticator app, or a backup code',
  })
}
