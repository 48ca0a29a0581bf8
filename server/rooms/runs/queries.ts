import { type Selectable, sql } from 'kysely'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import type { AppAgentRuns } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { jsonb, whereShown, withOpenRun } from './fence.ts'
import { type FinishRun, type ListRuns, type Run, run, type StartRun } from './schema.ts'
import { RUN_ENDS } from './state.ts'

const COLUMNS = namesIn(run)

type RunRow = Pick<Selectable<AppAgentRuns>, (typeof COLUMNS)[number]>

/**
 * Starts a run, of the leased task if the caller holds a lease. Locks the task's row until the run is
 * inserted.
 */
export async function startRun(db: Database, input: StartRun): Promise<Run> {
  const row = await db
    .with('wanted', query =>
      query.selectNoFrom(
        sql<string | null>`coalesce(${input.taskId ?? null}::uuid, app.leased_task_id())`.as('taskId'),
      ),
    )
    .with('task', query =>
      query
        .selectFrom('app.tasks')
        .select('id')
        .where('id', '=', eb => eb.selectFrom('wanted').select('wanted.taskId'))
        .where('deletedAt', 'is', null)
        .forShare(),
    )
    .insertInto('app.agentRuns')
    .columns(['taskId', 'agent', 'model', 'provider', 'input'])
    .expression(query =>
      query
        .selectFrom('wanted')
        .leftJoin('task', 'task.id', 'wanted.taskId')
        .select([
          'task.id',
          sql<string>`${input.agent}::text`.as('agent'),
          sql<string | null>`${input.model ?? null}::text`.as('model'),
          sql<string | null>`${input.provider ?? null}::text`.as('provider'),
          jsonb(input.input).as('input'),
        ])
        .where(eb => eb.or([eb('wanted.taskId', 'is', null), eb('task.id', 'is not', null)])),
    )
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('task')
  return toRun(row)
}

/** Ends a run that has not ended. Its running tool calls may end later. */
export async function finishRun(db: Database, input: FinishRun): Promise<Run> {
  const { from, to } = RUN_ENDS[input.status]
  const row = await withOpenRun(db, sql<string>`${input.id}::uuid`)
    .updateTable('app.agentRuns')
    .set({
      status: to,
      output: jsonb(input.output),
      usage: jsonb(input.usage),
      error: input.error ?? null,
      finishedAt: sql<Date>`now()`,
    })
    .where('id', 'in', eb => eb.selectFrom('openRun').select('openRun.id'))
    .where('status', 'in', from)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return toRun(row)
  const { status } = await getRun(db, input.id)
  throw new AppError('illegal_transition', `cannot finish run "${input.id}": it is ${status}`)
}

/** Returns a page of runs, newest first, without runs of removed tasks. */
export async function listRuns(db: Database, input: ListRuns): Promise<Page<Run>> {
  let query = db
    .selectFrom('app.agentRuns')
    .select(COLUMNS)
    .where(whereShown)
    .orderBy('id', 'desc')
    .limit(input.limit + 1)
  if (input.taskId) query = query.where('taskId', '=', input.taskId)
  if (input.status) query = query.where('status', '=', input.status)
  if (input.cursor) query = query.where('id', '<', input.cursor)
  const rows = await query.execute()
  if (rows.length === 0 && input.taskId) await requireTask(db, input.taskId)
  return toPage(rows.map(toRun), input.limit, ({ id }) => id)
}

export async function getRun(db: Database, id: string): Promise<Run> {
  const row = await db
    .selectFrom('app.agentRuns')
    .select(COLUMNS)
    .where('id', '=', id)
    .where(whereShown)
    .executeTakeFirst()
  if (!row) throw notFound('run')
  return toRun(row)
}

async function requireTask(db: Database, id: string): Promise<void> {
  const task = await db
    .selectFrom('app.tasks')
    .select('id')
    .where('id', '=', id)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (!task) throw notFound('task')
}

function toRun(row: RunRow): Run {
  return row as Run
}
