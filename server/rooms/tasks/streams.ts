import { sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import type { EventPage } from '#server/live/feed.ts'
import type { Live } from '#server/live/live.ts'
import type { LiveSource } from '#server/live/source.ts'
import type { Topic } from '#server/live/topics.ts'
import { notFound } from '#server/rpc/errors.ts'
import type { LogEntry, TaskMessage } from './schema.ts'
import { isOver, type TaskStatus } from './state.ts'

/** A change of a task's messages: a message was created, grew, or was finished. */
export type MessageEvent =
  | { kind: 'message'; message: TaskMessage }
  | { kind: 'delta'; messageId: string; offset: number; delta: string }
  | { kind: 'finished'; messageId: string; status: 'complete' | 'failed'; content: string }

const MAX_PAGE_EVENTS = 500
/** A page ends with the event that exceeds this size. */
const MAX_PAGE_BYTES = 256 * 1024

/** The task's log entries, numbered by `seq`. */
export function logSource(taskId: string): LiveSource<LogEntry> {
  return {
    topic: logTopic(taskId),
    taskId,
    permission: 'tasks:read',
    read: (db, after) => readLogEvents(db, taskId, after),
    progressOf: ({ status, lastLogSeq }) => ({ lastSeq: lastLogSeq, isOver: isOver(status as TaskStatus) }),
  }
}

/** The events of the task's messages, with a number sequence of their own. */
export function messageSource(taskId: string): LiveSource<MessageEvent> {
  return {
    topic: messageTopic(taskId),
    taskId,
    permission: 'tasks:read',
    read: (db, after) => readMessageEvents(db, taskId, after),
    progressOf: ({ status, lastEventSeq }) => ({
      lastSeq: lastEventSeq,
      isOver: isOver(status as TaskStatus),
    }),
  }
}

/** Publishes a change after it was committed, and returns its result. */
export async function announcing<T>(
  { services }: { readonly services: { readonly live: Live } },
  change: Promise<T>,
  announce: (live: Live, result: T) => void,
): Promise<T> {
  const result = await change
  announce(services.live, result)
  return result
}

export function announceLogs(live: Live, { taskId }: { taskId: string }): void {
  live.announce(logTopic(taskId))
}

export function announceMessages(live: Live, { taskId }: { taskId: string }): void {
  live.announce(messageTopic(taskId))
}

/** Publishes that the task's status changed, which may end both of its streams. */
export function announceTask(live: Live, { id }: { id: string }): void {
  live.announce(logTopic(id))
  live.announce(messageTopic(id))
}

/** Publishes to the message stream, too: the claim may have failed messages of a lapsed lease. */
export function announceClaim(live: Live, claim: { task: { id: string } } | null): void {
  if (claim) announceTask(live, claim.task)
}

function logTopic(taskId: string): Topic {
  return `logs:${taskId.toLowerCase()}`
}

function messageTopic(taskId: string): Topic {
  return `messages:${taskId.toLowerCase()}`
}

interface TaskState {
  userId: string
  readerId: string
  taskStatus: TaskStatus
  lastSeq: number
}

/**
 * Reads the task's status and the events in one statement, so that "ended, and this was the last event" holds
 * for one snapshot.
 */
async function readLogEvents(db: Database, taskId: string, after: number): Promise<EventPage<LogEntry>> {
  const { rows } = await sql<TaskState & (LogEntry | { seq: null })>`
    select task.user_id, (select app.current_user_id()) as reader_id, task.status as task_status, task.last_log_seq as last_seq,
      line.seq, line.type, line.message, line.at
    from app.tasks task
    left join lateral (
      select page.*, sum(octet_length(page.message)) over (order by page.seq) - octet_length(page.message) as bytes_before
      from (
        select log.seq, log.type, log.message, log.at
        from app.task_logs log
        where log.user_id = task.user_id and log.task_id = task.id and log.seq > ${after}
        order by log.seq
        limit ${MAX_PAGE_EVENTS}
      ) page
    ) line on line.bytes_before < ${MAX_PAGE_BYTES}
    where task.id = ${taskId} and task.deleted_at is null
    order by line.seq
  `.execute(db)
  return toPage(rows, ({ seq, type, message, at }: LogEntry) => ({ seq, type, message, at }))
}

type MessageEventRow = TaskMessage & {
  seq: number
  kind: MessageEvent['kind']
  messageId: string
  offset: number
  delta: string
  messageSeq: number
}

/**
 * A message's first event shows its initial state: an agent's message is empty and grows with the following
 * deltas. The deltas of a finished message are kept for late readers; after a week they are folded into one
 * (app.fold_message_deltas).
 */
async function readMessageEvents(
  db: Database,
  taskId: string,
  after: number,
): Promise<EventPage<MessageEvent>> {
  const { rows } = await sql<TaskState & (MessageEventRow | { seq: null })>`
    select task.user_id, (select app.current_user_id()) as reader_id, task.status as task_status,
      task.last_event_seq as last_seq, event.*, task.id as task_id
    from app.tasks task
    left join lateral (
      select page.*, sum(octet_length(page.content) + octet_length(page.delta)) over (order by page.seq)
        - octet_length(page.content) - octet_length(page.delta) as bytes_before
      from (
        select e.seq, e.kind, e.message_id, e."offset", coalesce(d.text, '') as delta,
          m.seq as message_seq, m.role, m.created_at, m.updated_at,
          case when e.kind = 'message' and m.role = 'agent' then 'streaming' else m.status end as status,
          case when e.kind = 'finished' or e.kind = 'message' and m.role = 'user' then m.content else '' end as content
        from app.task_events e
        join app.task_messages m on m.user_id = e.user_id and m.id = e.message_id
        left join app.task_message_deltas d
          on e.kind = 'delta' and d.user_id = e.user_id and d.message_id = e.message_id and d."offset" = e."offset"
        where e.user_id = task.user_id and e.task_id = task.id and e.seq > ${after}
        order by e.seq
        limit ${MAX_PAGE_EVENTS}
      ) page
    ) event on event.bytes_before < ${MAX_PAGE_BYTES}
    where task.id = ${taskId} and task.deleted_at is null
    order by event.seq
  `.execute(db)
  return toPage(rows, toMessageEvent)
}

function toMessageEvent(row: MessageEventRow): MessageEvent {
  const { messageId, offset, delta, content, status } = row
  switch (row.kind) {
    case 'delta':
      return { kind: 'delta', messageId, offset, delta }
    case 'finished':
      return { kind: 'finished', messageId, status: status === 'failed' ? 'failed' : 'complete', content }
    case 'message': {
      const { taskId, messageSeq, role, createdAt, updatedAt } = row
      const message = { id: messageId, taskId, seq: messageSeq, role, content, status, createdAt, updatedAt }
      return {
        kind: 'message',
        message: status === 'streaming' ? { ...message, updatedAt: createdAt } : message,
      }
    }
  }
}

function toPage<R extends { seq: number }, T>(
  rows: readonly (TaskState & (R | { seq: null }))[],
  toData: (row: R) => T,
): EventPage<T> {
  const [task] = rows
  if (!task) throw notFound('task')
  const { userId, readerId, taskStatus, lastSeq } = task
  const events = rows
    .filter((row): row is TaskState & R => row.seq !== null)
    .map(row => ({ seq: row.seq, data: toData(row) }))
  return { userId, readerId, events, lastSeq, isOver: isOver(taskStatus) }
}
