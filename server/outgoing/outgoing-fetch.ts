import { Agent, fetch as request } from 'undici'
import { createPublicConnector, type Resolve } from './connector.ts'
import { OutgoingError, outgoingError } from './errors.ts'

export interface OutgoingOptions {
  /** True to allow private, loopback and link-local addresses. */
  readonly allowPrivate: boolean
  /** The deadline of one request including its answer. */
  readonly deadlineMs?: number
  /** The maximum size of one answer's body, decompressed. */
  readonly maxResponseBytes?: number
  /** Replaces the system's name resolution. */
  readonly resolve?: Resolve
  /**
   * Called with every failure, including those while an answer is read, which a library in between may
   * swallow.
   */
  readonly onFailure?: (error: OutgoingError) => void
}

export interface Outgoing {
  /**
   * Like the global fetch, except that redirects are returned and never followed (a caller that follows one
   * makes another checked request), request bodies are text, and every failure is an OutgoingError.
   */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>
  /** Closes all connections and aborts unfinished answers. */
  close(): Promise<void>
}

const DEADLINE_MS = 15_000
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024
const CONNECTIONS_PER_ORIGIN = 8
const BODILESS = [101, 103, 204, 205, 304]

/**
 * For requests to addresses that users typed. The operator's own addresses (a provider's API, SMTP) do not
 * need it.
 */
export function createOutgoingFetch(options: OutgoingOptions): Outgoing {
  const { allowPrivate, deadlineMs = DEADLINE_MS, maxResponseBytes = MAX_RESPONSE_BYTES, resolve } = options
  const agent = new Agent({
    allowH2: false,
    connections: CONNECTIONS_PER_ORIGIN,
    headersTimeout: deadlineMs,
    bodyTimeout: deadlineMs,
    connect: allowPrivate
      ? { timeout: deadlineMs, allowH2: false }
      : createPublicConnector(deadlineMs, resolve),
  })
  return {
    async fetch(url, init = {}) {
      const target = checkedUrl(url)
      const deadline = AbortSignal.timeout(deadlineMs)
      const signal = init.signal ? AbortSignal.any([deadline, init.signal]) : deadline
      const fail = (cause: unknown): unknown => {
        if (init.signal?.aborted) return init.signal.reason
        const words = `${target.hostname} did not answer within ${deadlineMs / 1_000} s`
        const error = deadline.aborted
          ? new OutgoingError('timeout', words, { cause })
          : outgoingError(cause, target.hostname)
        options.onFailure?.(error)
        return error
      }
      try {
        const { method, headers } = init
        const response = await request(target, {
          method,
          headers: [...new Headers(headers)],
          body: textOf(init.body),
          redirect: 'manual',
          signal,
          dispatcher: agent,
        })
        const { status, statusText } = response
        const isEmpty = response.body === null || BODILESS.includes(status)
        const body = isEmpty
          ? null
          : bounded(response.body.getReader(), { fail, host: target.hostname, maxResponseBytes })
        return new Response(body, { status, statusText, headers: [...response.headers] })
      } catch (error) {
        throw fail(error)
      }
    },
    close: () => agent.destroy(),
  }
}

function checkedUrl(url: string | URL): URL {
  if (!URL.canParse(url)) throw new OutgoingError('refused', 'refused: the address is not a URL')
  const target = new URL(url)
  if (!/^https?:$/.test(target.protocol))
    throw new OutgoingError('refused', 'refused: only http and https addresses can be asked')
  if (target.username || target.password)
    throw new OutgoingError(
      'refused',
      `refused: the address of ${target.hostname} holds a user name or password`,
    )
  return target
}

function textOf(body: RequestInit['body']): string | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new TypeError('an outgoing body is text')
}

interface Bounds {
  readonly fail: (error: unknown) => unknown
  readonly host: string
  readonly maxResponseBytes: number
}

interface Reader {
  read(): Promise<{ done: boolean; value?: Uint8Array }>
  cancel(reason?: unknown): Promise<void>
}

function bounded(reader: Reader, { fail, host, maxResponseBytes }: Bounds): ReadableStream<Uint8Array> {
  let received = 0
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value } = await reader.read()
          if (!value) return controller.close()
          received += value.byteLength
          if (received > maxResponseBytes) {
            const words = `${host} answers with more than ${maxResponseBytes} bytes`
            throw new OutgoingError('too_large', words)
          }
          controller.enqueue(value)
        } catch (error) {
          controller.error(fail(error))
          reader.cancel().catch(() => {})
        }
      },
      cancel: reason => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}
