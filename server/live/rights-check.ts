import { isSignInRefusal, SignInError, toAppError } from '#server/db/errors.ts'
import { notFound } from '#server/rpc/errors.ts'
import type { WatchedStream, WatchedStreamState } from '#server/system/system-streams.ts'
import type { Reader } from './feed.ts'
import type { LiveFeed } from './source.ts'

export interface RightsCheck {
  start(): void
  stop(): void
}

export interface RightsCheckOptions {
  readonly feeds: () => Iterable<LiveFeed>
  readonly check: (streams: readonly WatchedStream[]) => Promise<WatchedStreamState[]>
  readonly onFailure: (error: unknown) => void
  readonly intervalMs?: number
}

/** A stream ends within a second of its reader losing the right to it: this much waiting, and the time the check takes. */
const INTERVAL_MS = 750

interface Watched extends WatchedStream {
  readonly entry: LiveFeed
  readonly readers: Reader[]
}

/**
 * Asks the database at short intervals, in one call for the whole process, whether every reader may still read and how far each
 * stream is. The first is the only way to learn of a lost right; the second finds what news failed to tell.
 */
export function createRightsCheck(options: RightsCheckOptions): RightsCheck {
  const { intervalMs = INTERVAL_MS } = options
  let timer: NodeJS.Timeout | undefined
  let isChecking = false

  async function check(): Promise<void> {
    if (isChecking) return
    isChecking = true
    try {
      const watched = collect(options.feeds())
      if (watched.length === 0) return
      for (const state of await options.check(watched)) {
        const about = watched[state.n - 1]
        if (about) apply(about, state)
      }
    } catch (error) {
      options.onFailure(error)
    } finally {
      isChecking = false
    }
  }

  return {
    start() {
      timer ??= setInterval(() => void check(), intervalMs).unref()
    },
    stop() {
      clearInterval(timer)
      timer = undefined
    },
  }
}

function collect(feeds: Iterable<LiveFeed>): Watched[] {
  const watched: Watched[] = []
  for (const entry of feeds) {
    const { taskId } = entry.source
    const byCaller = new Map<string, Watched>()
    for (const reader of entry.feed.readers) {
      const { credential, organizationId } = reader.scope
      const key = `${credential} ${organizationId}`
      const known = byCaller.get(key)
      if (known) known.readers.push(reader)
      else byCaller.set(key, { credential, organizationId, taskId, entry, readers: [reader] })
    }
    watched.push(...byCaller.values())
  }
  return watched
}

function apply(
  { entry, readers }: Watched,
  { refusal, status, lastLogSeq, lastEventSeq }: WatchedStreamState,
): void {
  if (status === null) {
    const reason = refusal ?? undefined
    const failure = isSignInRefusal(reason) ? toAppError(new SignInError(reason)) : notFound('task')
    for (const reader of readers) if (!reader.isClosed) reader.end(failure)
    return
  }
  const { lastSeq, isOver } = entry.source.progressOf({ status, lastLogSeq, lastEventSeq })
  entry.feed.noteProgress(lastSeq, isOver)
}
