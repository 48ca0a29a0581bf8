import { TRPCClientError } from '@trpc/client'
import type { AppRouter } from '#server/rpc/router.ts'

type ErrorData = AppRouter['_def']['_config']['$types']['errorShape']['data']

/**
 * The reasons of failures that no server reported: no valid answer, an aborted call, a call that was not
 * sent.
 */
type LocalReason = 'unreachable' | 'aborted' | 'unsent'

export type ErrorReason = NonNullable<ErrorData['reason']> | LocalReason
export type ErrorCode = ErrorData['code'] | Uppercase<LocalReason>

export interface ErrorDetails {
  readonly code: ErrorCode
  /** A stable code; undefined for the few failures that tRPC itself answers without one. */
  readonly reason?: ErrorReason | undefined
  /** The errors of the input: zod's issues, flattened. */
  readonly issues?: ErrorData['issues']
  /** The name of the violated constraint. */
  readonly constraint?: string | undefined
  /** When to retry. */
  readonly retryAt?: Date | undefined
  /** The length of the message, if a delta's offset did not match it. */
  readonly length?: number | undefined
  /** A free value, if a value (a slug) is taken. */
  readonly suggestion?: string | undefined
  /** Undefined if no answer came. */
  readonly httpStatus?: number | undefined
  /** The procedure, such as `tasks.create`. */
  readonly path?: string | undefined
  /** The request's id in the server's log. */
  readonly requestId?: string | undefined
}

/** Any failure of a client's call. Programs decide by `reason`; `message` is a sentence for people. */
export class RowhouseError extends TRPCClientError<AppRouter> implements ErrorDetails {
  readonly code: ErrorCode
  readonly reason: ErrorReason | undefined
  readonly issues: ErrorData['issues']
  readonly constraint: string | undefined
  readonly retryAt: Date | undefined
  readonly length: number | undefined
  readonly suggestion: string | undefined
  readonly httpStatus: number | undefined
  readonly path: string | undefined
  readonly requestId: string | undefined

  constructor(message: string, details: ErrorDetails, options: RowhouseErrorOptions = {}) {
    super(message, options)
    // tRPC's constructor resets the prototype of every instance to TRPCClientError's.
    Object.setPrototypeOf(this, new.target.prototype)
    this.name = 'RowhouseError'
    this.code = details.code
    this.reason = details.reason
    this.issues = details.issues
    this.constraint = details.constraint
    this.retryAt = details.retryAt
    this.length = details.length
    this.suggestion = details.suggestion
    this.httpStatus = details.httpStatus
    this.path = details.path
    this.requestId = details.requestId
  }
}

type RowhouseErrorOptions = NonNullable<ConstructorParameters<typeof TRPCClientError<AppRouter>>[1]>

export function isRowhouseError(error: unknown): error is RowhouseError {
  return error instanceof RowhouseError
}

/**
 * No answer came, or one that is not the server's: a proxy's, another application's, or an incomplete one.
 */
export class NoAnswerError extends Error {
  readonly httpStatus: number | undefined
  readonly retryAt: Date | undefined
  readonly requestId: string | undefined

  constructor(message: string, options: { response?: Answered | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'NoAnswerError'
    this.httpStatus = options.response?.status
    this.retryAt = options.response && retryTime(options.response)
    this.requestId = options.response && requestIdOf(options.response)
  }
}

/** The time that an answer's `retry-after` names. */
export function retryTime(response: Answered): Date | undefined {
  const value = response.headers.get('retry-after')
  if (value === null) return undefined
  const time = /^\d+$/.test(value) ? Date.now() + Number(value) * 1000 : Date.parse(value)
  return Number.isNaN(time) ? undefined : new Date(time)
}

/** The request's id in the server's log. */
export function requestIdOf(response: Answered): string | undefined {
  return response.headers.get('x-request-id') ?? undefined
}

/** The parts of a response that remain after its body was read. */
type Answered = Pick<Response, 'status' | 'headers'>

/** Only the links of this client write `meta`. */
function responseOf(error: TRPCClientError<AppRouter>): Answered | undefined {
  return (error.meta as { response?: Answered } | undefined)?.response
}

/** Turns whatever tRPC's links throw into a RowhouseError. */
export function toRowhouseError(
  error: unknown,
  call: { path: string; signal?: AbortSignal | null },
): RowhouseError {
  if (error instanceof RowhouseError) return error
  const { path, signal } = call
  if (error instanceof TRPCClientError && error.data) return answeredError(error, path)
  const cause = causeOf(error)
  if (signal?.aborted || isAbort(cause)) {
    return new RowhouseError('the call was aborted', { code: 'ABORTED', reason: 'aborted', path }, { cause })
  }
  if (cause instanceof NoAnswerError) {
    const { httpStatus, retryAt, requestId } = cause
    const details = {
      code: 'UNREACHABLE',
      reason: 'unreachable',
      path,
      httpStatus,
      retryAt,
      requestId,
    } as const
    return new RowhouseError(cause.message, details, { cause })
  }
  const message = `the call could not be sent: ${cause.message}`
  return new RowhouseError(message, { code: 'UNSENT', reason: 'unsent', path }, { cause })
}

function answeredError(error: TRPCClientError<AppRouter>, path: string): RowhouseError {
  const { message, data, shape, meta, cause } = error
  const code = data?.code ?? 'INTERNAL_SERVER_ERROR'
  const response = responseOf(error)
  // The call's own path: the error of a refused batch names all of its procedures.
  const details = { ...data, code, path, requestId: response && requestIdOf(response) }
  return new RowhouseError(message, details, { result: shape && { error: shape }, meta, cause })
}

/** The original error below tRPC's wrapping. */
function causeOf(error: unknown): Error {
  if (error instanceof TRPCClientError) {
    const response = responseOf(error)
    if (response) return new NoAnswerError(error.message, { response, cause: error })
    if (error.cause instanceof Error) return error.cause
  }
  return error instanceof Error ? error : new Error(String(error))
}

function isAbort(error: Error): boolean {
  return error.name === 'AbortError' || error.name === 'TimeoutError'
}
