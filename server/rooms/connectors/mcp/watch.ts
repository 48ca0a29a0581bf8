import { McpFailure, secondsOf } from './failure.ts'

/** One deadline and one end for everything that a test starts. */
export interface Watch {
  readonly deadlineMs: number
  readonly signal: AbortSignal
  /** Ends the test with this error; the first one stays. */
  fail(error: Error): void
  /** What the work comes to, or the error that ended the test first. */
  during<T>(work: Promise<T>): Promise<T>
  /** Counts something that the server did wrong or need not do, and ends the test when it goes on. */
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
