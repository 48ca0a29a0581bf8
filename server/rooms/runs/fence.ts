import { type Expression, type ExpressionBuilder, type RawBuilder, sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import type { DB } from '#server/db/types.ts'
import type { Json } from '#server/rpc/inputs.ts'

/**
 * Starts a statement that writes to a run or its tool calls, with `openRun`: the run, if the caller may write
 * to its task. Locks the task's row first, then checks its lease as a fencing token: a statement that waited
 * on the lock while another worker claimed the task finds no run. A run without a task is open to its owner.
 */
export function withOpenRun(db: Database, runId: Expression<string>) {
  return db
    .with('task', query =>
      query
        .selectFrom('app.tasks')
        .select('id')
        .where('id', '=', eb => eb.selectFrom('app.agentRuns').select('taskId').where('id', '=', runId))
        .where('deletedAt', 'is', null)
        .forShare(),
    )
    .with('openRun', query =>
      query
        .selectFrom('app.agentRuns as run')
        .leftJoin('task', 'task.id', 'run.taskId')
        .select('run.id')
        .where('run.id', '=', runId)
        .where(eb => eb.or([eb('run.taskId', 'is', null), eb('task.id', 'is not', null)])),
    )
}

/** Excludes the runs of removed tasks. */
export function whereShown(eb: ExpressionBuilder<DB, 'app.agentRuns'>) {
  return eb.or([
    eb('app.agentRuns.taskId', 'is', null),
    eb.exists(
      eb
        .selectFrom('app.tasks')
        .select('app.tasks.id')
        .whereRef('app.tasks.userId', '=', 'app.agentRuns.userId')
        .whereRef('app.tasks.id', '=', 'app.agentRuns.taskId')
        .where('app.tasks.deletedAt', 'is', null),
    ),
  ])
}

/** Converts a value to a parameter of type jsonb; null if there is none. */
export function jsonb(value: Json | object | undefined): RawBuilder<string | null> {
  return sql`${value === undefined ? null : JSON.stringify(value)}::jsonb`
}
