// When to retry, for callers that outlive a server's restart, such as workers.
import { isRowhouseError } from './errors.ts'

const FIRST_DELAY_MS = 250
const LAST_DELAY_MS = 5_000
const ATTEMPT_MS = 30_000

/**
 * True if the same call may succeed later: nothing answered, or the server or its database has no capacity
 * now.
 */
function isPassing(error: unknown): boolean {
  if (!isRowhouseError(error)) return false
  const { reason, httpStatus } = error
  if (reason === 'unreachable') return httpStatus === undefined || httpStatus === 429 || httpStatus >= 500
  return reason === 'overloaded' || reason === 'database_unavailable' || reason === 'rate_limited'
}

/** Doubles with each failure in a row, is random, and is at least as long as the server asked for. */
export function delayMs(failures: number, error?: unknown): number {
  const backoff = Math.min(FIRST_DELAY_MS * 2 ** Math.min(failures, 10), LAST_DELAY_MS)
  const retryAt = isRowhouseError(error) ? error.retryAt : undefined
  return Math.max(backoff * (0.5 + Math.random() / 2), retryAt ? retryAt.getTime() - Date.now() : 0)
}

/** Resolves after `ms`, or as soon as `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const finish = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, signal.aborted ? 0 : ms)
    signal.addEventListener('abort', finish)
  })
}

export interface Attempt {
  /** Aborted when this attempt times out or its caller no longer wants the answer. */
  readonly signal: AbortSignal
  /** Counts from 1. A later attempt can't know whether earlier ones, whose answers were lost, succeeded. */
  readonly number: number
}

/** Retries until the call succeeds or fails permanently. Throws `signal`'s reason once it is aborted. */
export async function persist<T>(
  signal: AbortSignal,
  call: (attempt: Attempt) => Promise<T>,
  attemptMs = ATTEMPT_MS,
): Promise<T> {
  for (let number = 1; ; number++) {
    signal.throwIfAborted()
    const timeout = AbortSignal.timeout(attemptMs)
    try {
      return await call({ signal: AbortSignal.any([signal, timeout]), number })
    } catch (error) {
      signal.throwIfAborted()
      if (!isPassing(error) && !timeout.aborted) throw error
      await pause(delayMs(number - 1, error), signal)
    }
  }
}
