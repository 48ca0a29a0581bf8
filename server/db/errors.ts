import pg from 'pg'
import { AppError, REASONS, type Reason } from '#server/rpc/errors.ts'

// SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html RH001, RH403, RH409 and
// RH429 are our own: app.refuse, app.open_task_secrets, app.extend_lease and app.take_quota raise them.

function hasCode(error: unknown, code: string): boolean {
  return error instanceof pg.DatabaseError && error.code === code
}

/** True for a violated primary key, unique constraint or unique index (23505). */
export function isUniqueViolation(error: unknown): boolean {
  return hasCode(error, '23505')
}

/** True if a referenced row is missing, or a row is still referenced (23503). */
export function isForeignKeyViolation(error: unknown): boolean {
  return hasCode(error, '23503')
}

/** True if a required column was given no value (23502). */
export function isNotNullViolation(error: unknown): boolean {
  return hasCode(error, '23502')
}

/** True for a violated check constraint, and for a violated rule of our triggers (23514). */
export function isCheckViolation(error: unknown): boolean {
  return hasCode(error, '23514')
}

/**
 * True if a transaction conflicted with another and may be retried: serialization (40001) or deadlock
 * (40P01).
 */
export function isSerializationFailure(error: unknown): boolean {
  return hasCode(error, '40001') || hasCode(error, '40P01')
}

/** The name of the violated constraint; undefined for any other error. */
export function getConstraintName(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined
}

/** Postgres' detail line. It quotes column values: log it, but never send it to a caller. */
export function getErrorDetail(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.detail : undefined
}

/** The connection failed, was lost, or did not answer within its deadline. */
export class DatabaseUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DatabaseUnavailableError'
  }
}

/** The caller already has so many waiting statements that this one got no connection. */
export class CallerBusyError extends Error {
  constructor() {
    super('too many statements of this caller are waiting for a connection or for a row')
    this.name = 'CallerBusyError'
  }
}

/** The caller aborted, so the statement was cancelled. */
export class StatementAbortedError extends Error {
  constructor() {
    super('the statement was cancelled because its caller aborted')
    this.name = 'StatementAbortedError'
  }
}

/** A refusal by sign_in, which raises the reason as its message. */
export class SignInError extends Error {
  readonly reason: keyof typeof SIGN_IN_MESSAGES

  constructor(reason: keyof typeof SIGN_IN_MESSAGES, options?: ErrorOptions) {
    super(reason, options)
    this.name = 'SignInError'
    this.reason = reason
  }
}

const SIGN_IN_MESSAGES = {
  lease_lost: "the lease has ended: the task is over, stopped, or somebody else's",
  unauthenticated: 'sign in, or present a valid credential',
  missing_scope: 'the credential does not allow this call',
  not_a_member: 'the caller is not a member of this organization',
  two_factor_required:
    'this organization requires two-factor sign-in: switch it on for your account, then try again',
} as const

export function isSignInRefusal(message: string | undefined): message is keyof typeof SIGN_IN_MESSAGES {
  return message !== undefined && Object.hasOwn(SIGN_IN_MESSAGES, message)
}

const UNIQUE_MESSAGES: Readonly<Record<string, string>> = {
  ai_provider_configs_organization_id_name_key: 'the organization has another AI provider of this name',
  organizations_slug_key: 'another organization has this slug',
  members_organization_id_user_id_key: 'this is already a member of the organization',
}

const RETRY_MS = 1_000
const FAULT_RETRY_MS = 30_000

/**
 * A refusal by one of our functions: its message is the reason, its detail a sentence, its hint an optional
 * time to retry.
 */
function toRefusal(error: pg.DatabaseError): AppError | null {
  const { message, detail, hint } = error
  if (!Object.hasOwn(REASONS, message)) return null
  return new AppError(message as Reason, detail ?? message, {
    cause: error,
    ...(hint === undefined ? {} : { retryAt: new Date(hint) }),
  })
}

/**
 * Turns a database error into an expected failure; returns null for an unexpected one. Constraints are
 * translated here, once, by name; a room adds its own sentence only if the name does not say enough.
 */
export function toAppError(error: unknown): AppError | null {
  if (error instanceof AppError) return error
  if (error instanceof SignInError)
    return new AppError(error.reason, SIGN_IN_MESSAGES[error.reason], { cause: error })
  if (error instanceof DatabaseUnavailableError) {
    const retryAt = new Date(Date.now() + RETRY_MS)
    return new AppError('database_unavailable', 'the database is not available', { cause: error, retryAt })
  }
  if (error instanceof CallerBusyError) {
    const retryAt = new Date(Date.now() + 1_000)
    return new AppError('overloaded', 'too many of your calls are already waiting; try again', {
      cause: error,
      retryAt,
    })
  }
  if (!(error instanceof pg.DatabaseError)) return null
  const constraint = error.constraint
  const details = { cause: error, ...(constraint === undefined ? {} : { constraint }) }
  switch (error.code) {
    case '23505':
      return new AppError(
        'unique_violation',
        UNIQUE_MESSAGES[constraint ?? ''] ?? 'this already exists',
        details,
      )
    case '23503':
      if (constraint?.endsWith('_organization_id_user_id_fkey')) {
        return new AppError('not_a_member', SIGN_IN_MESSAGES.not_a_member, { cause: error })
      }
      return new AppError('not_found', 'what this refers to was not found', { cause: error })
    case '42501':
      // A row that a policy's `with check` refused names an organization that is not the caller's; any other
      // 42501 is our bug.
      if (error.routine !== 'ExecWithCheckOptions') return null
      return new AppError('not_a_member', SIGN_IN_MESSAGES.not_a_member, { cause: error })
    case '23514':
      if (constraint === 'members_last_owner_check') {
        return new AppError('last_owner', 'an organization keeps at least one owner', details)
      }
      return new AppError('invalid_input', 'a value is outside its bounds', details)
    case '23502':
    case '22001': // string too long
    case '22003': // number out of range
    case '22007': // invalid datetime
    case '22008': // datetime overflow
    case '22021': // NUL or broken UTF-8 in text
    case '22P02': // not a value of its type
    case '22P05': // \u0000 in jsonb
      return new AppError('invalid_input', 'a value is not valid', details)
    case '54000': // program limit exceeded
    case '54001': // nested too deep
      return new AppError('too_large', 'a value is too large', details)
    case 'RH001':
      return toRefusal(error)
    case 'RH403':
      return new AppError('missing_scope', SIGN_IN_MESSAGES.missing_scope, { cause: error })
    case 'RH409':
      return new AppError('lease_lost', SIGN_IN_MESSAGES.lease_lost, { cause: error })
    case 'RH429':
      return new AppError('daily_quota', 'the quota of today is used up', {
        cause: error,
        ...(error.detail === undefined ? {} : { retryAt: new Date(error.detail) }),
      })
    case '57014': // statement_timeout
    case '55P03': // lock_timeout
    case '25P03': // idle_in_transaction_session_timeout
    case '25P04': // transaction_timeout
    case '40001':
    case '40P01':
    case '53200': // out of memory
    case '53400': // a configured limit is exceeded
      return new AppError('overloaded', 'the database could not finish this in time; try again', {
        cause: error,
        retryAt: new Date(Date.now() + RETRY_MS),
      })
    default:
      return isServerDown(error.code) ? unavailable(error) : null
  }
}

/** Errors that only the operator can resolve, such as a full disk (53100). */
const OPERATORS = /^(53[01]00|58)/

/**
 * True if a SQLSTATE means that the server can't work now: no connection (08), insufficient resources (53),
 * shutdown or start (57P), a system error (58), or read-only, as a standby is.
 */
export function isServerDown(code: string | undefined): boolean {
  return /^(08|53|57P|58)|^25006$/.test(code ?? '')
}

function unavailable(error: pg.DatabaseError): AppError {
  const isFault = OPERATORS.test(error.code ?? '')
  const message = error.code === '53100' ? "the database's disk is full" : 'the database is not available'
  const retryAt = new Date(Date.now() + (isFault ? FAULT_RETRY_MS : RETRY_MS))
  return new AppError('database_unavailable', message, { cause: error, isFault, retryAt })
}
