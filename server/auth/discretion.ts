// Hides from strangers who has an account. With SIGN_UP=private a sign-up gets the same answer for every
// address, and a sign-in that waits for a confirmed address the answer for a wrong password. Otherwise a
// sign-up with a known address says so, and its owner receives a mail.

import { setTimeout as delay } from 'node:timers/promises'
import { refuse } from './response.ts'

/**
 * Longer than the difference in time between an address with an account and one without. The library waits as
 * long before it sends mail.
 */
const FLOOR_MS = 500

const TAKEN = /^USER_ALREADY_EXISTS/

export interface Asked {
  readonly path: string
  readonly email: string | null
  readonly isPrivate: boolean
  /** Calls the library; a second call repeats the request. */
  readonly ask: () => Promise<Response>
  readonly mailOwner: (email: string) => void
}

/** Returns the library's answer without the details that must stay hidden. */
export async function askDiscreetly(asked: Asked): Promise<Response> {
  const { path, isPrivate, ask } = asked
  if (path === '/request-password-reset') return notBefore(FLOOR_MS, ask())
  if (path === '/sign-up/email') return isPrivate ? notBefore(FLOOR_MS, signUpPrivately(ask)) : signUp(asked)
  if (path !== '/sign-in/email' || !isPrivate) return ask()
  const response = await ask()
  const isRefused = response.status === 401 || (await codeOf(response, 403)) === 'EMAIL_NOT_VERIFIED'
  return isRefused ? refuse(401, 'INVALID_EMAIL_OR_PASSWORD', 'Invalid email or password') : response
}

async function signUp({ ask, email, mailOwner }: Asked): Promise<Response> {
  const response = await ask()
  if (email !== null && TAKEN.test(await codeOf(response, 422))) mailOwner(email)
  return response
}

async function signUpPrivately(ask: () => Promise<Response>): Promise<Response> {
  const first = await ask()
  // Two concurrent sign-ups created the same account: on the second call the library finds it, and answers as
  // for any other.
  const response = TAKEN.test(await codeOf(first, 422)) ? await ask() : first
  if (response.status !== 200) return response
  const { user } = (await response.json()) as { user: Record<string, unknown> }
  const { id, name, email, image, createdAt } = user
  return Response.json({
    token: null,
    user: { id, name, email, emailVerified: false, image, createdAt, updatedAt: createdAt },
  })
}

async function codeOf(response: Response, status: number): Promise<string> {
  if (response.status !== status) return ''
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null)
  return typeof body === 'object' && body !== null && 'code' in body ? String(body.code) : ''
}

async function notBefore(milliseconds: number, work: Promise<Response>): Promise<Response> {
  const [response] = await Promise.all([work, delay(milliseconds)])
  return response
}
