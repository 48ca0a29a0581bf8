import type { ServerResponse } from 'node:http'
import { type AnyTRPCRouter, getTRPCErrorFromUnknown, TRPCError } from '@trpc/server'
import { getErrorShape, isObject } from '@trpc/server/unstable-core-do-not-import'
import type { Batch } from '#server/live/batch.ts'
import { connectedFrame, errorFrame, PING_FRAME, RETURN_FRAME } from '#server/live/frames.ts'
import { type Delivery, LiveStream, type Receiver } from '#server/live/live-stream.ts'
import { noteError } from './call-error.ts'
import { contextInputOf } from './context-input.ts'
import { type Exchange, endExchange, startStream } from './exchange.ts'
import type { LiveRequest } from './live-request.ts'
import { callProcedureChain } from './procedure-chain.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

/** What one reader may leave unread in our memory, besides the batch that passes it. */
const MAX_UNREAD_BYTES = 256 * 1024
/** How long a reader may take over that before it counts as gone. */
const STALL_MS = 20_000

/** Answers live subscriptions as tRPC's adapter does, but for writing each event once for all of its readers. */
export function createLiveAnswers(options: TrpcHandlerOptions) {
  const { router, log, metrics, streams } = options
  const { sse } = router._def._config
  const opening = connectedFrame(sse?.client ?? {})
  const stallMs = options.stallMs ?? STALL_MS
  const writers = new Set<StreamWriter>()
  let pinging: NodeJS.Timeout | undefined

  function keepAlive(writer: StreamWriter): void {
    writers.add(writer)
    if (!sse?.ping?.enabled) return
    pinging ??= setInterval(() => {
      for (const each of writers) each.ping()
    }, sse.ping.intervalMs).unref()
  }

  function forget(writer: StreamWriter): void {
    writers.delete(writer)
    if (writers.size > 0) return
    clearInterval(pinging)
    pinging = undefined
  }

  return async function answerLive(exchange: Exchange, request: LiveRequest): Promise<void> {
    const { res } = exchange
    const { path, procedure } = request
    const controller = new AbortController()
    const { signal } = controller
    let input: unknown
    let stream: LiveStream<unknown> | undefined
    let failure: TRPCError | undefined
    const onClose = () => controller.abort()
    res.on('close', onClose)
    const slot = options.load.take()
    try {
      const { aside } = slot
      exchange.context = options.createContext(contextInputOf(exchange, options, { signal, aside }))
      const data: unknown = await callProcedureChain(procedure, {
        path,
        getRawInput: async () => {
          input = parseInput(router, request)
          return input
        },
        ctx: exchange.context,
        type: 'subscription',
        signal,
        batchIndex: 0,
      })
      if (!(data instanceof LiveStream))
        throw new Error(`${path} is said to be live and returned no LiveStream`)
      stream = data
    } catch (cause) {
      failure = getTRPCErrorFromUnknown(cause)
    } finally {
      slot.release()
    }
    if (res.destroyed) {
      stream?.discard()
      endExchange(exchange, 499, log)
      return
    }

    const describe = (error: TRPCError): string => {
      const call = { error, path, input, ctx: exchange.context, type: 'subscription' } as const
      noteError(exchange, call, log)
      const config = router._def._config
      return errorFrame(
        JSON.stringify(config.transformer.output.serialize(getErrorShape({ ...call, config }))),
      )
    }
    const ending = failure && describe(failure)
    const writer = new StreamWriter({
      res,
      describe,
      stallMs,
      onStall: () => {
        metrics.countDropped()
        log.warn({ requestId: exchange.requestId, path }, 'a stream was dropped: its reader does not read')
      },
    })
    startStream(exchange, options, () => {
      controller.abort()
      writer.stop()
      streams.delete(res)
      forget(writer)
    })
    res.off('close', onClose)
    streams.add(res)
    keepAlive(writer)
    writer.begin(opening, stream)
    if (ending !== undefined) writer.finish(ending)
    // Everything that streams is cut when the server goes away; who comes after that is cut at once.
    if (options.isDraining()) res.destroy()
  }
}

/** The input as tRPC would read it: the last event's id is filled in where there is one. */
function parseInput(router: AnyTRPCRouter, { input, lastEventId }: LiveRequest): unknown {
  try {
    const parsed: unknown = input
      ? router._def._config.transformer.input.deserialize(JSON.parse(input))
      : undefined
    if (!lastEventId) return parsed
    if (isObject(parsed)) return { ...parsed, lastEventId }
    return parsed ?? { lastEventId }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : 'Invalid input'
    throw new TRPCError({ code: 'BAD_REQUEST', message, cause })
  }
}

interface StreamWriterOptions {
  readonly res: ServerResponse
  readonly describe: (failure: TRPCError) => string
  readonly stallMs: number
  readonly onStall: () => void
}

/**
 * Writes one stream to one connection. Bytes that are the same for all readers go to the socket as they are; for that the answer
 * must be in chunked encoding and its turn have come, which it has unless requests were pipelined.
 */
class StreamWriter implements Receiver {
  readonly #options: StreamWriterOptions
  #delivery: Delivery | undefined
  #stall: NodeJS.Timeout | undefined
  #isEnded = false

  constructor(options: StreamWriterOptions) {
    this.#options = options
  }

  begin(opening: string, stream: LiveStream<unknown> | undefined): void {
    const { res } = this.#options
    res.socket?.cork()
    res.write(opening)
    this.#delivery = stream?.deliverTo(this)
    // After the first events, which come in a microtask, so that they leave together.
    setImmediate(() => res.socket?.uncork())
  }

  receive(batch: Batch): boolean {
    const { res } = this.#options
    const { socket } = res
    if (socket && res.chunkedEncoding) socket.write(batch.chunk)
    else res.write(batch.body)
    const unread = socket ? socket.writableLength : res.writableLength
    if (unread <= MAX_UNREAD_BYTES) return true
    this.#awaitReader()
    return false
  }

  end(failure: TRPCError | null): void {
    this.finish(failure ? this.#options.describe(failure) : RETURN_FRAME)
  }

  finish(frame: string): void {
    const { res, stallMs } = this.#options
    this.#isEnded = true
    res.end(frame)
    this.#stall ??= setTimeout(() => res.destroy(), stallMs)
  }

  ping(): void {
    const { res } = this.#options
    if (!this.#isEnded && !this.#stall && !res.destroyed) res.write(PING_FRAME)
  }

  stop(): void {
    this.#isEnded = true
    clearTimeout(this.#stall)
    this.#delivery?.stop()
  }

  #awaitReader(): void {
    const { res, stallMs, onStall } = this.#options
    this.#stall = setTimeout(() => {
      onStall()
      res.destroy()
    }, stallMs)
    const source = res.socket ?? res
    source.once('drain', () => {
      clearTimeout(this.#stall)
      this.#stall = undefined
      if (!this.#isEnded) this.#delivery?.resume()
    })
  }
}
