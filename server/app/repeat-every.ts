import type { Logger } from './logger.ts'
import { recurringFailure, toError } from './recurring-failure.ts'

/** Work that a process repeats until it stops. */
export interface Loop {
  /** Starts a round at once, or another one right after the running one. Starts the loop. */
  wake(): void
  /** Starts no further round, and waits for the running one. Safe to call twice. */
  stop(): Promise<void>
}

interface LoopOptions {
  readonly intervalMs: number
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** The log line of a round that throws. */
  readonly failureMessage: string
}

/**
 * Runs rounds of work one after another, with the interval between them; a round may return another delay, in
 * milliseconds. The interval varies by a quarter, so that processes that start together do not work together. A round that
 * throws is logged as a recurring failure, and the next one follows after the interval. Does nothing until it is woken.
 */
export function repeatEvery(
  { intervalMs, log, failureMessage }: LoopOptions,
  work: (stopping: AbortSignal) => Promise<number | undefined>,
): Loop {
  const failure = recurringFailure({ log, message: failureMessage })
  const stopping = new AbortController()
  const { signal } = stopping
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isWanted = false

  async function run(): Promise<void> {
    let delayMs: number | undefined
    try {
      do {
        isWanted = false
        delayMs = await work(signal)
      } while (isWanted && !signal.aborted)
      failure.worked()
    } catch (error) {
      failure.failed(toError(error))
      delayMs = undefined
    }
    running = undefined
    if (!signal.aborted) timer = setTimeout(wake, delayMs ?? intervalMs * (0.75 + Math.random() / 2)).unref()
  }

  function wake(): void {
    clearTimeout(timer)
    if (signal.aborted) return
    isWanted = true
    running ??= run()
  }

  return {
    wake,
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      await running
    },
  }
}
