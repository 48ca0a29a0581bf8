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

export interface AppErrorDetails {
  /** The violated constraint's name. */
  constraint?: string
  /** When trying again makes sense. */
  retryAt?: Date
  /** The length of the message that a delta did not fit. */
  length?: number
  /** What would be free, in place of what is taken. */
  suggestion?: string
  /** The operator must mend something: the error is logged whole, though its caller hears only a sentence. */
  isFault?: boolean
  cause?: unknown
}

/** An expected failure: a stable reason and a sentence that names the thing and no secret. */
export class AppError extends Error {
  readonly reason: Reason
  readonly constraint: string | undefined
  readonly retryAt: Date | undefined
  readonly length: number | undefined
  readonly suggestion: string | undefined
  readonly isFault: boolean

  constructor(reason: Reason, message: string, details: AppErrorDetails = {}) {
    super(message, { cause: details.cause })
    this.name = 'AppError'
    this.reason = reason
    this.constraint = details.constraint
    this.retryAt = details.retryAt
    this.length = details.length
    this.suggestion = details.suggestion
    this.isFault = details.isFault ?? false
  }

  get code(): (typeof REASONS)[Reason] {
    return REASONS[this.reason]
  }
}

/** The one answer for a row that is missing and for one that is someone else's. */
export function notFound(noun: string): AppError {
  return new AppError('not_found', `${noun} not found`)
}
