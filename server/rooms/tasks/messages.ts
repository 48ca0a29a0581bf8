import { type RawBuilder, sql } from 'kysely'
import type { Quotas } from '#server/app/config/quotas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import type { AppendDelta, ListMessages, SendMessage, StartMessage, TaskMessage } from './schema.ts'

const COLUMNS = sql`message.id, message.task_id, message.seq, message.role, message.status, message.created_at, message.updated_at`

/** The maximum length of an agent's message, in UTF-16 code units. */
export const MAX_MESSAGE_LENGTH = 4 * 1024 * 1024

/** Adds a user's message to the task's conversation and counts it against today's quota. */
export async function sendMessage(
  db: Database,
  input: SendMessage,
  limits: Pick<Quotas, 'maxMessagesPerDay'>,
): Promise<TaskMessage> {
  const { rows } = await sql<TaskMessage & { quota: unknown }>`
    ${insertMessage(input.taskId, 'user', input.content)}
    select ${COLUMNS}, message.content, app.take_quota('messages', ${limits.maxMessagesPerDay}) as quota
    from message
  `.execute(db)
  const [row] = rows
  if (!row) throw notFound('task')
  const { quota: _, ...message } = row
  return message
}

/** Starts an agent's message: empty, to be extended by {@link appendDelta}. */
export async function startMessage(db: Database, input: StartMessage): Promise<{ id: string }> {
  const { rows } = await sql<{ id: string }>`
    ${insertMessage(input.taskId, 'agent', '')}
    select message.id from message
  `.execute(db)
  const [row] = rows
  if (!row) throw notFound('task')
  return row
}

/**
 * A `with` clause that inserts a message as `message`. Numbers the message and its event under the task's row
 * lock.
 */
function insertMessage(taskId: string, role: 'user' | 'agent', content: string): RawBuilder<unknown> {
  const status = role === 'user' ? 'complete' : 'streaming'
  return sql`
    with task as (
      update app.tasks
      set last_message_seq = last_message_seq + 1, last_event_seq = last_event_seq + 1
      where id = ${taskId} and deleted_at is null
      returning id, last_message_seq, last_event_seq
    ), message as (
      insert into app.task_messages (task_id, seq, role, content, status, length)
      select task.id, task.last_message_seq, ${role}, ${content}, ${status}, ${content.length} from task
      returning *
    ), event as (
      insert into app.task_events (task_id, seq, kind, message_id)
      select task.id, task.last_event_seq, 'message', message.id from task, message
    )`
}

interface Appended {
  taskId: string
  /** The length before this delta. */
  length: number
  status: TaskMessage['status']
  newLength: number | null
}

/**
 * Appends a delta that starts at the message's length. Ignores a delta that lies wholly before it, because an
 * earlier attempt wrote it; throws `offset_conflict` with the length for any other. Locks the task's row
 * first, to number the event, and reads the message only then.
 */
export async function appendDelta(
  db: Database,
  { id, offset, delta }: AppendDelta,
): Promise<{ taskId: string; length: number }> {
  const { rows } = await sql<Appended>`
    with task as (
      select t.user_id, t.id
      from app.tasks t
      join app.task_messages m on m.user_id = t.user_id and m.task_id = t.id
      where m.id = ${id} and m.role = 'agent' and t.deleted_at is null
      for update of t
    ), message as (
      -- Locked after the task, so this reads the current row, not the one from the statement's snapshot.
      select m.user_id, m.id, m.task_id, m.length, m.status
      from task
      join app.task_messages m on m.user_id = task.user_id and m.task_id = task.id
      where m.id = ${id}
      for update of m
    ), appended as (
      update app.task_messages m
      set length = message.length + ${delta.length}
      from message
      where m.user_id = message.user_id
        and m.id = message.id
        and message.status = 'streaming'
        and message.length = ${offset}
        and ${delta.length}::int > 0
        and message.length + ${delta.length} <= ${MAX_MESSAGE_LENGTH}
      returning m.user_id, m.id, m.task_id, m.length
    ), numbered as (
      update app.tasks t
      set last_event_seq = t.last_event_seq + 1
      from appended
      where t.user_id = appended.user_id and t.id = appended.task_id
      returning t.id, t.last_event_seq
    ), delta as (
      insert into app.task_message_deltas (message_id, "offset", text)
      select appended.id, ${offset}::int, ${delta}::text from appended
    ), event as (
      insert into app.task_events (task_id, seq, kind, message_id, "offset")
      select numbered.id, numbered.last_event_seq, 'delta', ${id}::uuid, ${offset}::int from numbered
    )
    select message.task_id, message.length, message.status, appended.length as new_length
    from message
    left join appended on true
  `.execute(db)
  const [message] = rows
  if (!message) throw notFound('message')
  const { taskId, length, status, newLength } = message
  if (newLength !== null) return { taskId, length: newLength }
  if (status !== 'streaming') throw finished(id)
  if (offset + delta.length <= length) return { taskId, length }
  if (offset === length) {
    throw new AppError('too_large', `a message cannot exceed ${MAX_MESSAGE_LENGTH} characters`, { length })
  }
  throw new AppError(
    'offset_conflict',
    `a delta at offset ${offset} does not continue the message: its length is ${length}`,
    { length },
  )
}

/** Folds the message's deltas into its content and completes the message. */
export function finishMessage(db: Database, id: string): Promise<{ taskId: string }> {
  // Locks in a statement of its own: the next statement then sees every delta committed before the lock was
  // granted.
  return db.transaction().execute(async transaction => {
    const locked = await sql<{ status: TaskMessage['status'] }>`
      select m.status
      from app.tasks t
      join app.task_messages m on m.user_id = t.user_id and m.task_id = t.id
      where m.id = ${id} and m.role = 'agent' and t.deleted_at is null
      for update of t
    `.execute(transaction)
    if (locked.rows.length === 0) throw notFound('message')
    const { rows } = await sql<{ taskId: string }>`
      with message as (
        update app.task_messages m
        set status = 'complete', content = ${foldedContent}
        where m.id = ${id} and m.status = 'streaming'
        returning m.user_id, m.id, m.task_id
      ), numbered as (
        update app.tasks t
        set last_event_seq = t.last_event_seq + 1
        from message
        where t.user_id = message.user_id and t.id = message.task_id
        returning t.id, t.last_event_seq
      ), event as (
        insert into app.task_events (task_id, seq, kind, message_id)
        select numbered.id, numbered.last_event_seq, 'finished', ${id}::uuid from numbered
      )
      select task_id from message
    `.execute(transaction)
    const [message] = rows
    if (!message) throw finished(id)
    return message
  })
}

/** The deltas of `m`, concatenated. */
const foldedContent = sql<string>`coalesce(
  (
    select string_agg(d.text, '' order by d."offset")
    from app.task_message_deltas d
    where d.user_id = m.user_id and d.message_id = m.id
  ),
  ''
)`

function finished(id: string): AppError {
  return new AppError('illegal_transition', `message "${id}" is finished: start a new message`)
}

/** Returns a page of a task's conversation, oldest first. */
export async function listMessages(db: Database, input: ListMessages): Promise<Page<TaskMessage>> {
  const { rows } = await sql<TaskMessage | { id: null }>`
    select message.*
    from app.tasks task
    left join lateral (
      select
        m.id, m.task_id, m.seq, m.role, m.status, m.created_at, m.updated_at,
        case when m.status = 'streaming' then ${foldedContent} else m.content end as content
      from app.task_messages m
      where m.user_id = task.user_id and m.task_id = task.id and m.seq > ${Number(input.cursor ?? 0)}
      order by m.seq
      limit ${input.limit + 1}
    ) message on true
    where task.id = ${input.taskId} and task.deleted_at is null
    order by message.seq
  `.execute(db)
  if (rows.length === 0) throw notFound('task')
  const messages = rows.filter((row): row is TaskMessage => row.id !== null)
  return toPage(messages, input.limit, message => String(message.seq))
}
