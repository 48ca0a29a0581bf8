import { McpFailure, secondsOf } from './failure.ts'

/** The deadline and the abort signal of one test. */
export interface Watch {
  readonly deadlineMs: number
  readonly signal: AbortSignal
  /** Ends the test with this error; ignored if it has already ended. */
  fail(error: Error): void
  /** Resolves with the work's result; rejects with the error that ended the test, if that came first. */
  during<T>(work: Promise<T>): Promise<T>
  /** Counts a message that is invalid or not needed, and ends the test after too many. */
  complain(what?: string): void
  stop(): void
}

const MAX_COMPLAINTS = 200

export function startWatch(deadlineMs: number): Watch {
  const controller = new AbortController()
  let complaints = 0
  let sentInstead: string | undefined
  const timer = setTimeout(() => {
    const also = sentInstead ? `; it sent ${sentInstead}` : ''
    fail(new McpFailure(`the server did not answer within ${secondsOf(deadlineMs)}${also}`))
  }, deadlineMs)

  function fail(error: Error): void {
    clearTimeout(timer)
    controller.abort(error)
  }

  return {
    deadlineMs,
    signal: controller.signal,
    fail,
    during: work =>
      new Promise((resolve, reject) => {
        const { signal } = controller
        const give = () => reject(signal.reason)
        work.then(resolve, error => reject(signal.aborted ? signal.reason : error))
        if (signal.aborted) give()
        else signal.addEventListener('abort', give, { once: true })
      }),
    complain(what) {
      sentInstead ??= what
      complaints++
      if (complaints > MAX_COMPLAINTS)
        fail(new McpFailure(`the server sent too many ${what ?? 'unrequested messages'}`))
    },
    stop: () => clearTimeout(timer),
  }
}
