// Sign-up, sign-in and sign-out with mail address and password, for callers that keep a token. A browser that
// keeps a cookie passes `cookies: true` and needs no token. Better Auth serves all other account endpoints at
// /api/auth.
import { type Connection, type ConnectionOptions, connect, originOf, readJson } from './connection.ts'
import {
  type ErrorDetails,
  type ErrorReason,
  NoAnswerError,
  RowhouseError,
  requestIdOf,
  retryTime,
  toRowhouseError,
} from './errors.ts'

export interface Credentials extends Pick<ConnectionOptions, 'url' | 'cookies' | 'fetch'> {
  readonly email: string
  readonly password: string
}

export interface Account {
  /** The session's bearer token, for `createClient({ token })`. */
  readonly token: string
  readonly user: { readonly id: string; readonly name: string; readonly email: string }
}

/**
 * Creates an account and signs it in. Throws a {@link ConfirmationNeededError} if the server
 * (SIGN_UP=private) requires a confirmed address first, whether or not the address has an account.
 */
export async function signUp(options: Credentials & { readonly name: string }): Promise<Account> {
  const { email, password, name } = options
  const answer = await post(connect(options), '/sign-up/email', { email, password, name })
  const hasSession = answer.response.headers.has('set-auth-token')
  if (!hasSession && isAccountBody(answer.body)) throw new ConfirmationNeededError()
  return accountOf(answer)
}

/** The server has sent a mail to the address, which says how to continue. */
export class ConfirmationNeededError extends Error {
  constructor() {
    super('confirm your mail address with the link that was mailed to it, then sign in')
    this.name = 'ConfirmationNeededError'
  }
}

/**
 * Signs in. Throws a RowhouseError with the reason `unauthenticated` for a wrong password and an unknown
 * address alike, and a {@link SecondFactorNeededError} for a user with a second factor: pass it to
 * `verifySecondFactor`.
 */
export async function signIn(options: Credentials): Promise<Account> {
  const { email, password } = options
  const answer = await post(connect(options), '/sign-in/email', { email, password })
  const challenge = answer.response.headers.get('set-two-factor-token')
  if (challenge !== null) throw new SecondFactorNeededError(challenge)
  return accountOf(answer)
}

/** The password was right, and the account requires a second factor. */
export class SecondFactorNeededError extends Error {
  /** Pass it to `verifySecondFactor` within ten minutes. */
  readonly challenge: string

  constructor(challenge: string) {
    super('this account requires a second factor: call verifySecondFactor')
    this.name = 'SecondFactorNeededError'
    this.challenge = challenge
  }
}

export interface SecondFactor extends Pick<ConnectionOptions, 'url' | 'cookies' | 'fetch'> {
  readonly challenge: string
  /** Six digits from the authenticator app, or a backup code. */
  readonly code: string
  /** True to skip the second factor in this browser for 30 days. Needs cookies. */
  readonly trustDevice?: boolean
}

/**
 * Completes a sign-in with a code, which is valid once; throws `unauthenticated` for a wrong code and
 * `rate_limited` after ten.
 */
export async function verifySecondFactor(options: SecondFactor): Promise<Account> {
  const { challenge, code, trustDevice = false } = options
  const path = /^\d{6}$/.test(code) ? '/two-factor/verify-totp' : '/two-factor/verify-backup-code'
  const connection = connect(options)
  const headers = async () => ({ ...(await connection.headers()), 'x-two-factor-token': challenge })
  return accountOf(await post({ ...connection, headers }, path, { code, trustDevice }))
}

/** Ends the session and invalidates its token. */
export async function signOut(options: ConnectionOptions): Promise<void> {
  await post(connect(options), '/sign-out', {})
}

interface Answer {
  readonly path: string
  readonly response: Response
  readonly body: unknown
}

async function post(connection: Connection, path: string, input: object): Promise<Answer> {
  const url = `${connection.baseUrl}/api/auth${path}`
  try {
    const headers = { ...(await connection.headers()), 'content-type': 'application/json' }
    const response = await connection.fetch(url, { method: 'POST', headers, body: JSON.stringify(input) })
    const answer = { path, response, body: await readJson(response) }
    if (!response.ok) throw refusal(answer)
    return answer
  } catch (error) {
    throw toRowhouseError(error, { path })
  }
}

function accountOf({ path, response, body }: Answer): Account {
  const token = response.headers.get('set-auth-token')
  if (token !== null && isAccountBody(body)) return { token, user: body.user }
  const error = new NoAnswerError(`${originOf(response.url)} answered without a session`, { response })
  throw toRowhouseError(error, { path })
}

function isAccountBody(body: unknown): body is Pick<Account, 'user'> {
  return typeof body === 'object' && body !== null && 'user' in body && typeof body.user === 'object'
}

const BY_STATUS: Record<number, Pick<ErrorDetails, 'code' | 'reason'>> = {
  400: { code: 'BAD_REQUEST', reason: 'invalid_input' },
  401: { code: 'UNAUTHORIZED', reason: 'unauthenticated' },
  403: { code: 'FORBIDDEN' },
  404: { code: 'NOT_FOUND', reason: 'not_found' },
  412: { code: 'PRECONDITION_FAILED', reason: 'two_factor_required' },
  413: { code: 'PAYLOAD_TOO_LARGE', reason: 'too_large' },
  429: { code: 'TOO_MANY_REQUESTS', reason: 'rate_limited' },
  500: { code: 'INTERNAL_SERVER_ERROR', reason: 'internal' },
  503: { code: 'SERVICE_UNAVAILABLE', reason: 'database_unavailable' },
}

/** Turns a refusal of Better Auth into an error of this client. */
function refusal({ path, response, body }: Answer): Error {
  const { code, message, reason } = readRefusal(body)
  const words = code.startsWith('USER_ALREADY_EXISTS')
    ? ({ code: 'CONFLICT', reason: 'unique_violation' } as const)
    : isOverloaded(body)
      ? ({ code: 'SERVICE_UNAVAILABLE', reason: 'overloaded' } as const)
      : BY_STATUS[response.status]
  if (!words || message === '') {
    return new NoAnswerError(`${originOf(response.url)} answered ${response.status}`, { response })
  }
  return new RowhouseError(message, {
    ...words,
    // A refusal by our own code, before Better Auth, has its own reason.
    reason: reason ?? words.reason,
    path,
    httpStatus: response.status,
    retryAt: retryTime(response),
    requestId: requestIdOf(response),
  })
}

/** True if the server is overloaded, as opposed to a database failure. */
function isOverloaded(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'reason' in body && body.reason === 'overloaded'
}

function readRefusal(body: unknown): { code: string; message: string; reason: ErrorReason | undefined } {
  const { code, message, reason } =
    typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  return {
    code: String(code ?? ''),
    message: String(message ?? ''),
    reason: typeof reason === 'string' ? (reason as ErrorReason) : undefined,
  }
}
