// Server-sent events over fetch. The browser's own EventSource sends no headers, so a credential would have
// to be in the URL, and Node has none. Reconnects with the last event's id, so that a subscription resumes
// where it was interrupted.
import { TRPCClientError } from '@trpc/client'
import superjson from 'superjson'
import type { AppRouter } from '#server/rpc/router.ts'
import { type Connection, originOf } from './connection.ts'
import { NoAnswerError } from './errors.ts'
import { readEvents } from './event-stream.ts'
import { pause } from './retries.ts'

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 30_000

export interface FetchEventSourceInit {
  readonly connection: Connection
  readonly withCredentials?: boolean
}

class FailureEvent extends Event {
  readonly failure: Error

  constructor(failure: Error) {
    super('error')
    this.failure = failure
  }
}

/** The original failure, if tRPC wrapped this module's `error` event; any other error unchanged. */
export function unwrapFailure(error: unknown): unknown {
  if (!(error instanceof TRPCClientError)) return error
  let cause: unknown = error.cause
  // tRPC also cancels the failed stream, which fails with the same error.
  if (cause instanceof Error && 'suppressed' in cause) cause = cause.suppressed
  return cause instanceof FailureEvent ? cause.failure : error
}

export class FetchEventSource extends EventTarget {
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSED = 2
  readyState = 0
  readonly #url: string
  readonly #connection: Connection
  readonly #closing = new AbortController()
  #lastEventId = ''
  #retryMs = FIRST_RETRY_MS

  constructor(url: string, init?: FetchEventSourceInit) {
    super()
    if (!init) throw new TypeError('an event source needs a connection')
    this.#url = url
    this.#connection = init.connection
    void this.#run()
  }

  close(): void {
    this.readyState = this.CLOSED
    this.#closing.abort()
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#isClosed; failures++) {
      let failure: Error = new NoAnswerError(`${originOf(this.#url)} ended the stream`)
      try {
        await this.#connectAndRead(() => {
          failures = 0
        })
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error))
      }
      if (this.#isClosed) return
      const isFinal = !isPassing(failure)
      this.readyState = isFinal ? this.CLOSED : this.CONNECTING
      this.dispatchEvent(new FailureEvent(failure))
      if (isFinal) return
      await pause(this.#delayMs(failures, failure), this.#closing.signal)
    }
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  async #connectAndRead(onEvent: () => void): Promise<void> {
    const { signal } = this.#closing
    const headers = {
      ...(await this.#connection.headers()),
      accept: 'text/event-stream',
      ...(this.#lastEventId === '' ? {} : { 'last-event-id': this.#lastEventId }),
    }
    const response = await this.#connection.fetch(this.#url, { headers, signal, cache: 'no-store' })
    if (!response.ok || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
      throw await refusal(response)
    }
    this.readyState = this.OPEN
    this.dispatchEvent(new Event('open'))
    if (!response.body) return
    try {
      for await (const event of readEvents(response.body)) {
        if (this.#isClosed) return
        if (event.retryMs !== undefined) this.#retryMs = event.retryMs
        if (event.id !== undefined) this.#lastEventId = event.id
        if (event.data === undefined) continue
        onEvent()
        this.dispatchEvent(new MessageEvent(event.type, { data: event.data, lastEventId: this.#lastEventId }))
      }
    } catch (cause) {
      throw new NoAnswerError(`${originOf(this.#url)} interrupted the stream`, { cause })
    }
  }

  /**
   * Doubles with each failure in a row, and is random, so that callers do not all reconnect to a restarted
   * server at once.
   */
  #delayMs(failures: number, failure: Error): number {
    const asked = failure instanceof NoAnswerError ? failure.retryAt : undefined
    const backoff = Math.min(this.#retryMs * 2 ** Math.min(failures, 10), LAST_RETRY_MS)
    return Math.max(backoff * (0.5 + Math.random() / 2), asked ? asked.getTime() - Date.now() : 0)
  }
}

/**
 * True if a retry may succeed: nothing answered, something in front of the server answered, or the server is
 * overloaded.
 */
function isPassing(failure: Error): boolean {
  if (failure instanceof TRPCClientError) {
    const status: unknown = failure.data?.httpStatus
    return status === 429 || status === 503
  }
  if (!(failure instanceof NoAnswerError)) return false
  const { httpStatus } = failure
  return httpStatus === undefined || httpStatus === 429 || httpStatus >= 500
}

/** The error of an answer that is not a stream: the server's own error, if it contains one. */
async function refusal(response: Response): Promise<Error> {
  const answered = `${originOf(response.url)} answered ${response.status} instead of a stream`
  try {
    const body = await response.json()
    const error: unknown = superjson.deserialize(body.error)
    const failure = TRPCClientError.from<AppRouter>({ error }, { meta: { response } })
    if (failure.data) return failure
  } catch {
    // The answer is not the server's.
  }
  return new NoAnswerError(answered, { response })
}
