import type { Database } from '#server/db/database.ts'
import type { StreamState } from '#server/system/system-streams.ts'
import type { EventPage, Feed } from './feed.ts'
import type { Topic } from './topics.ts'

/** What a room says of one of its streams. */
export interface LiveSource<T> {
  readonly topic: Topic
  /** Whose stream it is; null for one of approvals: of the organization in its readers' scope, or of themselves. */
  readonly taskId: string | null
  /** What a reader's credential must allow. */
  readonly permission: 'tasks:read' | 'approvals:read'
  /** Reads some events behind `after` in one statement. Throws `not_found` where there is no such stream. */
  read(db: Database, after: number): Promise<EventPage<T>>
  /** The stream's last number, and whether nothing more is to be expected, as the batched check reports it. */
  progressOf(state: StreamState): { lastSeq: number; isOver: boolean }
}

/** A feed with what it is of. */
export interface LiveFeed {
  readonly feed: Feed
  readonly source: LiveSource<unknown>
  readonly userId: string
}
