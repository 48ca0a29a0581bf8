import { randomUUID } from 'node:crypto'
import type { Logger } from '#server/app/logger.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import { SignInError, toAppError } from '#server/db/errors.ts'
import { DEFAULT_TIMEOUT_MS, type StatementScope } from '#server/db/scope.ts'
import type { Pools } from '#server/postgres/pools.ts'
import { AppError } from '#server/rpc/errors.ts'
import { createPlaces, type Places } from '#server/system/places.ts'
import { Feed, type Reader } from './feed.ts'
import { createListener } from './listener.ts'
import { LiveStream } from './live-stream.ts'
import { createNews } from './news.ts'
import { createRightsCheck } from './rights-check.ts'
import type { LiveFeed, LiveSource } from './source.ts'
import { pseudonyms, type Topic } from './topics.ts'

/** The streams of this process: who follows what, and who has news. */
export interface Live {
  /**
   * Says, after a commit, that there is something to read: to readers in this process at once, to others within some 20 ms. Never
   * fails and waits for nothing.
   */
  announce(topic: Topic): void
  /**
   * Lets a caller in, under their own scope, to what lies behind `after` and what will come. Throws as `source.read` does,
   * and `rate_limited` where the user follows as many streams as a user may.
   */
  open<T>(caller: Caller, source: LiveSource<T>, after: number): Promise<LiveStream<T>>
  /** Ends all streams and stops listening. Safe to call twice. */
  close(): Promise<void>
}

interface Caller {
  readonly db: Database
  readonly scope: StatementScope
}

export interface LiveOptions {
  readonly pools: Pick<Pools, 'api' | 'system'>
  /** Where the system's login can listen, past poolers; null leaves streams to their poll. */
  readonly listenUrl: string | null
  /** Hides from other listeners what news is about. The same in every process. */
  readonly authSecret: string
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  /** Counts each user's streams. It stays the caller's to close. */
  readonly places?: Places
  readonly checkIntervalMs?: number
}

/** Connects to nothing until there is news or a reader. */
export function createLive(options: LiveOptions): Live {
  const { pools, log } = options
  const feeds = new Map<Topic, Map<string, LiveFeed>>()
  const feedOf = new WeakMap<Reader, LiveFeed>()
  /** What the streams that are followed here are called on the channel. */
  const topicOf = new Map<string, Topic>()
  const pseudonymOf = pseudonyms(options.authSecret)
  const places = options.places ?? createPlaces({ system: pools.system })
  const sender = randomUUID()
  let isClosed = false

  const news = createNews({
    sender,
    pseudonymOf,
    notify: payloads => pools.system.notify(payloads),
    onFailure: error => log.debug({ err: error }, 'news could not be sent'),
  })
  const listener = createListener({
    url: options.listenUrl,
    ownSender: sender,
    onNews: heard => {
      for (const pseudonym of heard) {
        const topic = topicOf.get(pseudonym)
        if (topic) wake(topic)
      }
    },
    onListening: () => [...feeds.keys()].forEach(wake),
    log,
  })
  const rights = createRightsCheck({
    feeds: allFeeds,
    check: streams => pools.system.checkStreams(streams),
    onFailure: error => log.debug({ err: error }, 'the rights of streams could not be checked'),
    ...(options.checkIntervalMs === undefined ? {} : { intervalMs: options.checkIntervalMs }),
  })

  function wake(topic: Topic): void {
    const byUser = feeds.get(topic)
    if (byUser) for (const { feed } of byUser.values()) feed.wake()
  }

  function* allFeeds(): Generator<LiveFeed> {
    for (const byUser of feeds.values()) yield* byUser.values()
  }

  function join(reader: Reader, source: LiveSource<unknown>, userId: string): Feed {
    let byUser = feeds.get(source.topic)
    if (!byUser) {
      byUser = new Map()
      feeds.set(source.topic, byUser)
      topicOf.set(pseudonymOf(source.topic), source.topic)
    }
    let entry = byUser.get(userId)
    if (!entry) {
      const feed = new Feed({
        read: (scope, after) => source.read(scopedDatabase(pools.api, readingScope(scope, source)), after),
        refusalOf,
        onFailure: error => log.warn({ err: error, topic: source.topic }, 'a stream could not be read'),
        position: reader.position,
      })
      entry = { feed, source, userId }
      byUser.set(userId, entry)
    }
    feedOf.set(reader, entry)
    listener.start()
    rights.start()
    entry.feed.add(reader)
    return entry.feed
  }

  function leave(reader: Reader): void {
    const entry = feedOf.get(reader)
    if (!entry) return
    feedOf.delete(reader)
    entry.feed.remove(reader)
    if (entry.feed.readers.size > 0) return
    const { topic } = entry.source
    const byUser = feeds.get(topic)
    if (byUser?.get(entry.userId) !== entry) return
    byUser.delete(entry.userId)
    if (byUser.size === 0) {
      feeds.delete(topic)
      topicOf.delete(pseudonymOf(topic))
    }
    if (feeds.size === 0) rights.stop()
  }

  return {
    announce(topic) {
      if (isClosed) return
      wake(topic)
      news.announce(topic)
    },
    async open(caller, source, after) {
      if (isClosed) throw goingAway()
      const first = await source.read(caller.db, after)
      const giveBack = await places.take('streams', first.readerId)
      return new LiveStream({
        scope: caller.scope,
        // Behind the end there is nothing to have seen.
        position: Math.min(after, first.lastSeq),
        first,
        join: (reader, userId) => join(reader, source, userId),
        leave: reader => {
          leave(reader)
          giveBack()
        },
        giveBack,
      })
    },
    async close() {
      if (isClosed) return
      isClosed = true
      rights.stop()
      for (const { feed } of allFeeds()) for (const reader of [...feed.readers]) reader.end(goingAway())
      await Promise.all([listener.close(), news.close(), options.places ? null : places.close()])
    },
  }
}

/** A reader's scope without what belongs to its own request, which is not this statement's. */
function readingScope(
  { credential, organizationId }: StatementScope,
  { permission }: Pick<LiveSource<unknown>, 'permission'>,
): StatementScope {
  return {
    credential,
    organizationId,
    permission,
    isReadOnly: true,
    timeoutMs: DEFAULT_TIMEOUT_MS,
  }
}

/** A caller who is refused, or a stream that is gone; a database that does not answer is neither. */
function refusalOf(error: unknown): { failure: Error; isCallers: boolean } | null {
  const failure = toAppError(error)
  if (!failure) return null
  if (error instanceof SignInError) return { failure, isCallers: true }
  return failure.reason === 'not_found' ? { failure, isCallers: false } : null
}

function goingAway(): AppError {
  return new AppError('overloaded', 'the server is going away; resume on another')
}
