import { type TRPCError, type TrackedEnvelope, tracked } from '@trpc/server'
import type { StatementScope } from '#server/db/scope.ts'
import { toTRPCError } from '#server/rpc/trpc-error.ts'
import { Batch } from './batch.ts'
import type { EventPage, Feed, Reader } from './feed.ts'

/** Whom a stream delivers to. */
export interface Receiver {
  /** Takes events, one at least; false when there is no room for more, until {@link Delivery.resume}. */
  receive(batch: Batch): boolean
  /** The stream has ended: null after its last event, else why. Nothing is received afterwards. */
  end(failure: TRPCError | null): void
}

export interface Delivery {
  /** There is room again. Called once for every `receive` that said there was none. */
  resume(): void
  /** Ends the delivery without another word. */
  stop(): void
}

export interface LiveStreamOptions {
  readonly scope: StatementScope
  /** The last number that the caller has. */
  readonly position: number
  /** What was read when the caller was let in. */
  readonly first: EventPage
  readonly join: (reader: Reader, userId: string) => Feed
  readonly leave: (reader: Reader) => void
  /** Says that the stream takes no place of its user's any more. Called once it has ended, and perhaps again. */
  readonly giveBack: () => void
}

/** How long an opened stream keeps its place while nobody begins to read. */
const UNREAD_MS = 30_000

/**
 * What a live subscription returns: an async iterable of tracked events, as tRPC's adapters and callers in this process read
 * it. Our HTTP handler takes the events as bytes instead, which are the same for all readers of a stream.
 */
export class LiveStream<T> implements AsyncIterable<TrackedEnvelope<T>, void, undefined> {
  readonly #options: LiveStreamOptions
  readonly #unread: NodeJS.Timeout

  constructor(options: LiveStreamOptions) {
    this.#options = options
    this.#unread = setTimeout(options.giveBack, UNREAD_MS).unref()
  }

  /** For a stream whose reader left before it began. */
  discard(): void {
    clearTimeout(this.#unread)
    this.#options.giveBack()
  }

  deliverTo(receiver: Receiver): Delivery {
    clearTimeout(this.#unread)
    const { scope, position, join, leave } = this.#options
    // Let go as soon as it is delivered: streams are open for hours.
    let first: EventPage | null = this.#options.first
    let feed: Feed | undefined
    const reader: Reader = {
      scope,
      position,
      isFollowing: false,
      followsSince: 0,
      isClosed: false,
      receive: batch => receiver.receive(batch),
      end(failure) {
        reader.isClosed = true
        leave(reader)
        receiver.end(failure && toTRPCError(failure))
      },
    }
    const follow = () => {
      if (reader.isClosed) return
      if (feed) {
        feed.resume(reader)
      } else if (first) {
        const { userId, lastSeq, isOver } = first
        first = null
        if (isOver && reader.position >= lastSeq) reader.end(null)
        else feed = join(reader, userId)
      }
    }
    // After the call, so that nothing is received before the receiver knows its delivery.
    queueMicrotask(() => {
      if (reader.isClosed || !first) return
      const { events } = first
      const upTo = events.at(-1)?.seq ?? position
      first = { ...first, events: [] }
      if (upTo > position) {
        reader.position = upTo
        if (!reader.receive(new Batch(position, upTo, events))) return
      }
      follow()
    })
    return {
      resume: follow,
      stop() {
        reader.isClosed = true
        leave(reader)
      },
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<TrackedEnvelope<T>, void, undefined> {
    return iterate<T>(receiver => this.deliverTo(receiver), this.#options.scope.signal)
  }
}

/** As many batches wait for the one who iterates; further ones are read again when they are asked for. */
const MAX_WAITING_BATCHES = 16

type Result<T> = IteratorResult<TrackedEnvelope<T>, void>

/** Not a generator: one that waits for the next event could not be returned from before it comes. */
function iterate<T>(
  deliver: (receiver: Receiver) => Delivery,
  signal: AbortSignal | undefined,
): AsyncIterator<TrackedEnvelope<T>, void, undefined> {
  const waiting: Batch[] = []
  let index = 0
  let isFull = false
  let end: { failure: TRPCError | null } | undefined
  let asking: { resolve: (result: Result<T>) => void; reject: (error: unknown) => void } | undefined
  let delivery: Delivery | undefined

  function stop(): void {
    delivery?.stop()
    waiting.length = 0
    end ??= { failure: null }
    signal?.removeEventListener('abort', stop)
    settle()
  }

  /** Answers who asks, if there is an answer. */
  function settle(): void {
    if (!asking) return
    const batch = waiting[0]
    const event = batch?.events[index]
    if (batch && event) {
      index++
      if (index === batch.events.length) {
        waiting.shift()
        index = 0
      }
      const { resolve } = asking
      asking = undefined
      resolve({ done: false, value: tracked(String(event.seq), event.data as T) })
    } else if (isFull) {
      isFull = false
      delivery?.resume()
    } else if (end) {
      const { resolve, reject } = asking
      const { failure } = end
      asking = undefined
      end = { failure: null }
      if (failure) reject(failure)
      else resolve({ done: true, value: undefined })
    }
  }

  const receiver: Receiver = {
    receive(batch) {
      waiting.push(batch)
      isFull = waiting.length >= MAX_WAITING_BATCHES
      settle()
      return !isFull
    },
    end(failure) {
      signal?.removeEventListener('abort', stop)
      end = { failure }
      settle()
    },
  }

  return {
    next() {
      if (!delivery && !end) {
        delivery = deliver(receiver)
        signal?.addEventListener('abort', stop)
        if (signal?.aborted) stop()
      }
      return new Promise<Result<T>>((resolve, reject) => {
        asking = { resolve, reject }
        settle()
      })
    },
    async return() {
      stop()
      return { done: true, value: undefined }
    },
  }
}
