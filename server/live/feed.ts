import type { StatementScope } from '#server/db/scope.ts'
import { Batch, type LiveEvent } from './batch.ts'

/** A part of a stream as one statement saw it. */
export interface EventPage<T = unknown> {
  /** Whose the stream is. */
  readonly userId: string
  /** Who has read it. */
  readonly readerId: string
  readonly events: readonly LiveEvent<T>[]
  /** The stream's last number at that time. */
  readonly lastSeq: number
  /** Whether nothing more is to be expected behind it. */
  readonly isOver: boolean
}

/** One who follows a feed. */
export interface Reader {
  readonly scope: StatementScope
  /** The last number it was given. */
  position: number
  /** Whether it has what the feed has, and is given what comes. */
  isFollowing: boolean
  /** The feed's read that was under way, or done, when it began to follow. */
  followsSince: number
  isClosed: boolean
  /** Takes events, one at least; false when there is no room for more, until {@link Feed.resume}. */
  receive(batch: Batch): boolean
  /** Ends it: null after the last event. */
  end(failure: Error | null): void
}

export interface FeedOptions {
  /** Reads behind `after`, as who holds the scope may. */
  readonly read: (scope: StatementScope, after: number) => Promise<EventPage>
  /** What the reader is to be told where the error is about them, or null where it is about something else. */
  readonly refusalOf: (error: unknown) => { failure: Error; isCallers: boolean } | null
  readonly onFailure: (error: unknown) => void
  readonly position: number
}

const MAX_RECENT_BATCHES = 64
const MAX_RECENT_BYTES = 64 * 1024
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2_000

/**
 * One stream as one user may see it, for all of the user's readers in this process. Reads what is new once, under the
 * credential of one of them, and gives it to all who follow. Who is behind what it still holds reads for itself until it has
 * caught up. Every reader gets every event once, in order: what it is given starts where its position ends.
 */
export class Feed {
  readonly readers = new Set<Reader>()
  readonly #options: FeedOptions
  readonly #recent: Batch[] = []
  #recentBytes = 0
  #cursor: number
  #reads = 0
  #isReading = false
  #isStale = false
  #failures = 0
  #retry: NodeJS.Timeout | undefined

  constructor(options: FeedOptions) {
    this.#options = options
    this.#cursor = options.position
  }

  add(reader: Reader): void {
    this.readers.add(reader)
    this.resume(reader)
  }

  remove(reader: Reader): void {
    reader.isClosed = true
    this.readers.delete(reader)
    if (this.readers.size === 0) clearTimeout(this.#retry)
  }

  /** Goes on with a reader who has room again. */
  resume(reader: Reader): void {
    if (!reader.isFollowing && !reader.isClosed) void this.#catchUp(reader)
  }

  /** Reads what is new. News that comes meanwhile makes it read once more. */
  wake(): void {
    this.#isStale = true
    if (this.#isReading) return
    clearTimeout(this.#retry)
    void this.#readAll()
  }

  /** Told how far the stream is: reads if that is further. */
  noteProgress(lastSeq: number, isOver: boolean): void {
    if (lastSeq > this.#cursor || isOver) this.wake()
  }

  async #readAll(): Promise<void> {
    this.#isReading = true
    try {
      while (this.#isStale) {
        this.#isStale = false
        const [reader] = this.readers
        if (!reader) return
        const read = ++this.#reads
        let page: EventPage
        try {
          page = await this.#options.read(reader.scope, this.#cursor)
        } catch (error) {
          this.#isStale = true
          if (this.#refuse(reader, error, read)) continue
          this.#options.onFailure(error)
          this.#retry = setTimeout(() => this.wake(), retryDelayMs(this.#failures++)).unref()
          return
        }
        this.#failures = 0
        this.#spread(page)
        if (page.lastSeq > this.#cursor) this.#isStale = true
        else if (page.isOver) this.#endFollowers(read, null)
      }
    } finally {
      this.#isReading = false
    }
  }

  /** Ends whom the error is about; false where it is nobody's. */
  #refuse(reader: Reader, error: unknown, read: number): boolean {
    const refusal = this.#options.refusalOf(error)
    if (!refusal) return false
    if (!refusal.isCallers) this.#endFollowers(read, refusal.failure)
    this.#end(reader, refusal.failure)
    return true
  }

  #spread({ events, lastSeq }: EventPage): void {
    const last = events.at(-1)
    if (!last) {
      this.#cursor = Math.max(this.#cursor, lastSeq)
      return
    }
    const batch = new Batch(this.#cursor, last.seq, events)
    this.#cursor = batch.upTo
    for (const reader of this.readers) {
      if (reader.isFollowing && reader.position < batch.upTo) this.#give(reader, batch)
    }
    this.#keep(batch)
  }

  #give(reader: Reader, batch: Batch): boolean {
    const part = batch.since(reader.position)
    reader.position = batch.upTo
    // Numbers of what is hidden have no events; and a part without bytes would end an answer in chunks.
    if (part.events.length > 0) reader.isFollowing = reader.receive(part) && reader.isFollowing
    return reader.isFollowing
  }

  #keep(batch: Batch): void {
    this.#recent.push(batch)
    this.#recentBytes += batch.chunk.length
    while (this.#recent.length > MAX_RECENT_BATCHES || this.#recentBytes > MAX_RECENT_BYTES) {
      this.#recentBytes -= this.#recent.shift()?.chunk.length ?? 0
    }
  }

  /** Who began to follow only during the read may know of what came after it. */
  #endFollowers(read: number, failure: Error | null): void {
    for (const reader of this.readers) {
      if (reader.isFollowing && reader.followsSince < read) this.#end(reader, failure)
    }
  }

  #end(reader: Reader, failure: Error | null): void {
    if (reader.isClosed) return
    this.remove(reader)
    reader.end(failure)
  }

  async #catchUp(reader: Reader): Promise<void> {
    reader.isFollowing = true
    for (let failures = 0; !reader.isClosed; ) {
      if (reader.position >= this.#cursor) {
        reader.followsSince = this.#reads
        // What was read before it followed may have been the end.
        this.wake()
        return
      }
      const recent = this.#recent.find(
        ({ after, upTo }) => after <= reader.position && reader.position < upTo,
      )
      if (recent) {
        if (!this.#give(reader, recent)) return
        continue
      }
      reader.isFollowing = false
      let page: EventPage
      try {
        page = await this.#options.read(reader.scope, reader.position)
        failures = 0
      } catch (error) {
        const refusal = this.#options.refusalOf(error)
        if (refusal) this.#end(reader, refusal.failure)
        else this.#options.onFailure(error)
        await pause(retryDelayMs(failures++))
        continue
      }
      if (reader.isClosed) return
      reader.isFollowing = true
      const upTo = page.events.at(-1)?.seq ?? page.lastSeq
      if (upTo > reader.position && !this.#give(reader, new Batch(reader.position, upTo, page.events))) return
      if (page.isOver && reader.position >= page.lastSeq) this.#end(reader, null)
    }
  }
}

function retryDelayMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), LAST_RETRY_MS) * (0.5 + Math.random() / 2)
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms).unref())
}
