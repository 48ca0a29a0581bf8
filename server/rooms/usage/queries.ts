import { sql } from 'kysely'
import type { Quotas } from '#server/app/config/quotas.ts'
import type { Database } from '#server/db/database.ts'
import type { UsageToday } from './schema.ts'

/**
 * Returns the caller's usage of today's quotas. A limit is the operator's, or the caller's own if that is
 * lower.
 */
export async function getUsageToday(db: Database, limits: Quotas): Promise<UsageToday> {
  const row = await db
    .selectNoFrom(eb => [
      eb
        .selectFrom('app.dailyUsage')
        .select(usage => usage.fn.coalesce(usage.fn.max('tasks'), sql<number>`0`).as('tasks'))
        .where('day', '=', today)
        .as('tasks'),
      eb
        .selectFrom('app.dailyUsage')
        .select(usage => usage.fn.coalesce(usage.fn.max('messages'), sql<number>`0`).as('messages'))
        .where('day', '=', today)
        .as('messages'),
      eb.selectFrom('app.settings').select('value').where('key', '=', 'maxTasksPerDay').as('ownTasks'),
      eb.selectFrom('app.settings').select('value').where('key', '=', 'maxMessagesPerDay').as('ownMessages'),
      sql<Date>`(${today} + 1)::timestamp at time zone 'UTC'`.as('resetsAt'),
    ])
    .executeTakeFirstOrThrow()
  return {
    tasks: { used: row.tasks ?? 0, limit: lower(limits.maxTasksPerDay, row.ownTasks) },
    messages: { used: row.messages ?? 0, limit: lower(limits.maxMessagesPerDay, row.ownMessages) },
    resetsAt: row.resetsAt,
  }
}

const today = sql<string>`(now() at time zone 'UTC')::date`

function lower(operatorLimit: number, own: unknown): number {
  return typeof own === 'number' ? Math.min(operatorLimit, own) : operatorLimit
}
