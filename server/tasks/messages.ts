import { sql } from 'kysely'
import type { Database } from '../db/database.ts'
import { type Page, toPage } from '../db/pagination.ts'
import { notFound } from '../errors.ts'
import type { ListMessages, MESSAGE_ROLES, MESSAGE_STATUSES, SendMessage } from './schema.ts'

export interface TaskMessage {
  id: string
  taskId: string
  seq: number
  role: (typeof MESSAGE_ROLES)[number]
  content: string
  status: (typeof MESSAGE_STATUSES)[number]
  createdAt: Date
  updatedAt: Date
}

const COLUMNS = ['id', 'taskId', 'seq', 'role', 'content', 'status', 'createdAt', 'updatedAt'] as const

export interface MessageLimits {
  readonly maxMessagesPerDay: number
}

/** Adds the user's turn to a task's conversation and counts it against today's quota. */
export async function sendMessage(
  db: Database,
  input: SendMessage,
  limits: MessageLimits,
): Promise<TaskMessage> {
  const row = await db
    .with('task', query =>
      query
        .updateTable('app.tasks')
        .set(eb => ({ lastMessageSeq: eb('lastMessageSeq', '+', 1) }))
        .where('id', '=', input.taskId)
        .where('deletedAt', 'is', null)
        .returning(['id', 'lastMessageSeq']),
    )
    .insertInto('app.taskMessages')
    .columns(['taskId', 'seq', 'role', 'content', 'status'])
    .expression(query =>
      query
        .selectFrom('task')
        .select([
          'task.id',
          'task.lastMessageSeq',
          sql<string>`'user'`.as('role'),
          sql<string>`${input.content}::text`.as('content'),
          sql<string>`'complete'`.as('status'),
        ]),
    )
    .returning([...COLUMNS, sql`app.take_quota('messages', ${limits.maxMessagesPerDay})`.as('quota')])
    .executeTakeFirst()
  if (!row) throw notFound('task')
  const { quota: _, ...message } = row
  return message as TaskMessage
}

/** A page of a task's conversation, oldest first. */
export async function listMessages(db: Database, input: ListMessages): Promise<Page<TaskMessage>> {
  const rows = await db
    .selectFrom('app.tasks as task')
    .leftJoinLateral(
      eb =>
        eb
          .selectFrom('app.taskMessages')
          .select(COLUMNS)
          .whereRef('app.taskMessages.userId', '=', 'task.userId')
          .whereRef('app.taskMessages.taskId', '=', 'task.id')
          .where('seq', '>', Number(input.cursor ?? 0))
          .orderBy('seq')
          .limit(input.limit + 1)
          .as('message'),
      join => join.onTrue(),
    )
    .selectAll('message')
    .where('task.id', '=', input.taskId)
    .where('task.deletedAt', 'is', null)
    .orderBy('message.seq')
    .execute()
  if (rows.length === 0) throw notFound('task')
  const messages = rows.filter(row => row.id !== null) as TaskMessage[]
  return toPage(messages, input.limit, message => String(message.seq))
}
