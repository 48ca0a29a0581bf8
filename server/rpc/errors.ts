// Expected failures, each with a stable reason that callers may rely on. The reason decides the code.
export const REASONS = {
  invalid_input: 'BAD_REQUEST',
  unauthenticated: 'UNAUTHORIZED',
  missing_scope: 'FORBIDDEN',
  not_a_member: 'FORBIDDEN',
  role_too_low: 'FORBIDDEN',
  email_not_verified: 'FORBIDDEN',
  foreign_origin: 'FORBIDDEN',
  not_found: 'NOT_FOUND',
  unique_violation: 'CONFLICT',
  illegal_transition: 'CONFLICT',
  last_owner: 'CONFLICT',
  lease_lost: 'CONFLICT',
  offset_conflict: 'CONFLICT',
  already_decided: 'CONFLICT',
  payload_changed: 'CONFLICT',
  provider_not_configured: 'PRECONDITION_FAILED',
  two_factor_required: 'PRECONDITION_FAILED',
  value_unreadable: 'UNPROCESSABLE_CONTENT',
  connection_revoked: 'UNPROCESSABLE_CONTENT',
  too_large: 'PAYLOAD_TOO_LARGE',
  daily_quota: 'TOO_MANY_REQUESTS',
  rate_limited: 'TOO_MANY_REQUESTS',
  provider_unreachable: 'BAD_GATEWAY',
  provider_refused: 'BAD_GATEWAY',
  database_unavailable: 'SERVICE_UNAVAILABLE',
  overloaded: 'SERVICE_UNAVAILABLE',
  internal: 'INTERNAL_SERVER_ERROR',
} as const

export type Reason = keyof typeof REASONS

/** What a caller is told besides the reason and the sentence. */
export interface ErrorDetails {
  /** The violated constraint's name. */
  readonly constraint?: string
  /** When trying again makes sense. */
  readonly retryAt?: Date
  /** Of `offset_conflict`: the length of the message that the delta did not fit. */
  readonly length?: number
  /** Of a slug that is taken: a free one. */
  readonly suggestion?: string
}

interface AppErrorOptions extends ErrorDetails {
  /** The operator must fix something: the error is logged whole, though its caller hears only a sentence. */
  readonly isFault?: boolean
  readonly cause?: unknown
}

/** An expected failure: a stable reason and a sentence that names the thing and no secret. */
export class AppError extends Error {
  readonly reason: Reason
  readonly isFault: boolean
  readonly details: ErrorDetails

  constructor(reason: Reason, message: string, options: AppErrorOptions = {}) {
    const { cause, isFault = false, ...details } = options
    super(message, { cause })
    this.name = 'AppError'
    this.reason = reason
    this.isFault = isFault
    this.details = details
  }

  get code(): (typeof REASONS)[Reason] {
    return REASONS[this.reason]
  }
}

/** The one answer for a row that is missing and for one that is someone else's. */
export function notFound(noun: string): AppError {
  return new AppError('not_found', `${noun} not found`)
}
