import type { Logger } from './logger.ts'

const REPEAT_MS = 60_000

/** What goes wrong in a loop that never ends, and is tried again a second later. */
export interface RecurringFailure {
  failed(error: Error | undefined): void
  worked(): void
}

export interface RecurringFailureOptions {
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** What failed, as a log line says it. */
  readonly message: string
  /** In milliseconds, from anywhere. */
  readonly now?: () => number
}

/**
 * Logs such a failure when it begins, when it becomes another one, once a minute with how often it came, and when it is over: a
 * database that is down for an hour is not worth ten thousand stack traces.
 */
export function recurringFailure(options: RecurringFailureOptions): RecurringFailure {
  const { log, message, now = () => performance.now() } = options
  let failures = 0
  let beganAt = 0
  let loggedAt = 0
  let loggedReason: string | undefined

  return {
    failed(err) {
      const at = now()
      if (failures++ === 0) beganAt = at
      const isKnown = failures > 1 && err?.message === loggedReason
      if (isKnown && at - loggedAt < REPEAT_MS) return
      loggedAt = at
      loggedReason = err?.message
      if (failures === 1) log.warn({ err }, message)
      else log.warn({ err, failures, seconds: secondsSince(beganAt) }, message)
    },
    worked() {
      if (failures === 0) return
      log.info({ failures, seconds: secondsSince(beganAt) }, `over: ${message}`)
      failures = 0
    },
  }

  function secondsSince(time: number): number {
    return Math.round((now() - time) / 1_000)
  }
}

/** What was thrown, if need be as an error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}
