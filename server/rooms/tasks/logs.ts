import { sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { notFound } from '#server/rpc/errors.ts'
import type { AppendLogs, ListLogs, LogEntry } from './schema.ts'

/**
 * Appends entries in the given order and returns the last one's number. Numbers are assigned under the task's
 * row lock, so concurrent appends stay gapless and in commit order.
 */
export async function appendLogs(db: Database, input: AppendLogs): Promise<{ lastSeq: number }> {
  const count = input.entries.length
  const types = input.entries.map(entry => entry.type)
  const messages = input.entries.map(entry => entry.message)
  const task = await db
    .with('task', query =>
      query
        .updateTable('app.tasks')
        .set(eb => ({ lastLogSeq: eb('lastLogSeq', '+', count) }))
        .where('id', '=', input.taskId)
        .where('deletedAt', 'is', null)
        .returning(['id', 'lastLogSeq']),
    )
    .with('lines', query =>
      query
        .insertInto('app.taskLogs')
        .columns(['taskId', 'seq', 'type', 'message'])
        .expression(
          query
            .selectFrom([
              'task',
              sql<{
                type: string
                message: string
                n: number
              }>`unnest(${types}::text[], ${messages}::text[]) with ordinality`.as(
                sql<'line'>`line(type, message, n)`,
              ),
            ])
            .select([
              'task.id',
              sql<number>`task.last_log_seq - ${count}::int + line.n::int`.as('seq'),
              sql<string>`line.type`.as('type'),
              sql<string>`line.message`.as('message'),
            ]),
        ),
    )
    .selectFrom('task')
    .select('lastLogSeq')
    .executeTakeFirst()
  if (!task) throw notFound('task')
  return { lastSeq: task.lastLogSeq }
}

/** Returns the entries after number `after`, oldest first, and the number of the task's last entry. */
export async function listLogs(
  db: Database,
  input: ListLogs,
): Promise<{ items: LogEntry[]; lastSeq: number }> {
  const rows = await db
    .selectFrom('app.tasks as task')
    .leftJoinLateral(
      eb =>
        eb
          .selectFrom('app.taskLogs as log')
          .select(['log.seq', 'log.type', 'log.message', 'log.at'])
          .whereRef('log.userId', '=', 'task.userId')
          .whereRef('log.taskId', '=', 'task.id')
          .where('log.seq', '>', input.after)
          .orderBy('log.seq')
          .limit(input.limit)
          .as('entry'),
      join => join.onTrue(),
    )
    .select(['task.lastLogSeq', 'entry.seq', 'entry.type', 'entry.message', 'entry.at'])
    .where('task.id', '=', input.taskId)
    .where('task.deletedAt', 'is', null)
    .orderBy('entry.seq')
    .execute()
  const [first] = rows
  if (!first) throw notFound('task')
  const items = rows
    .filter(row => row.seq !== null)
    .map(({ seq, type, message, at }) => ({ seq, type, message, at }) as LogEntry)
  return { items, lastSeq: first.lastLogSeq }
}
