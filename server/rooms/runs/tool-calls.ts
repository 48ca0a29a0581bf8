import { hash } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import { canonicalJson } from '#server/crypto/canonical-json.ts'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import type { AppToolCalls } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { jsonb, whereShown, withOpenRun } from './fence.ts'
import { getRun } from './queries.ts'
import {
  type FinishToolCall,
  type ListToolCalls,
  type StartToolCall,
  type ToolCall,
  toolCall,
} from './schema.ts'
import { LIVE_RUN_STATUSES, TOOL_CALL_ENDS } from './state.ts'

const COLUMNS = namesIn(toolCall)

type ToolCallRow = Pick<Selectable<AppToolCalls>, (typeof COLUMNS)[number]>

/**
 * Records a tool call of a run that has not ended. The database decides by the catalogue whether the call
 * runs or awaits approval; a tool that is not in the catalogue runs. Idempotent: the same call with the same
 * tool and arguments returns the existing row.
 */
export async function startToolCall(db: Database, input: StartToolCall): Promise<ToolCall> {
  const argumentsHash = hash('sha256', canonicalJson(input.arguments), 'buffer')
  const row = await withOpenRun(db, sql<string>`${input.runId}::uuid`)
    // Locked until the call is inserted, so that the run cannot end before.
    .with('liveRun', query =>
      query
        .selectFrom('app.agentRuns as run')
        .innerJoin('openRun', 'openRun.id', 'run.id')
        .select('run.id')
        .where('run.status', 'in', LIVE_RUN_STATUSES)
        .forShare('run'),
    )
    .insertInto('app.toolCalls')
    .columns(['runId', 'callId', 'tool', 'arguments', 'argumentsHash'])
    .expression(query =>
      query
        .selectFrom('liveRun')
        .select([
          'liveRun.id',
          sql<string>`${input.callId}::text`.as('callId'),
          sql<string>`${input.tool}::text`.as('tool'),
          jsonb(input.arguments).as('arguments'),
          sql<Buffer>`${argumentsHash}::bytea`.as('argumentsHash'),
        ]),
    )
    .onConflict(conflict => conflict.columns(['userId', 'runId', 'callId']).doNothing())
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return toToolCall(row)
  return existingCall(db, input, argumentsHash)
}

async function existingCall(db: Database, input: StartToolCall, argumentsHash: Buffer): Promise<ToolCall> {
  const run = await getRun(db, input.runId)
  const row = await db
    .selectFrom('app.toolCalls')
    .select(COLUMNS)
    .where('runId', '=', input.runId)
    .where('callId', '=', input.callId)
    .executeTakeFirst()
  if (!row) {
    throw new AppError(
      'illegal_transition',
      `cannot start a tool call in run "${run.id}": it is ${run.status}`,
    )
  }
  if (row.tool === input.tool && row.argumentsHash.equals(argumentsHash)) return toToolCall(row)
  throw new AppError('unique_violation', `run "${run.id}" already has a different call "${input.callId}"`, {
    constraint: 'tool_calls_user_id_run_id_call_id_key',
  })
}

/** Ends a running call. A call that awaits approval cannot end, because it has not run. */
export async function finishToolCall(db: Database, input: FinishToolCall): Promise<ToolCall> {
  const { from, to } = TOOL_CALL_ENDS[input.status]
  const row = await withOpenRun(db, sql<string>`(select run_id from app.tool_calls where id = ${input.id})`)
    .updateTable('app.toolCalls')
    .set({
      status: to,
      result: jsonb(input.result),
      error: input.error ?? null,
      finishedAt: sql<Date>`now()`,
    })
    .where('id', '=', input.id)
    .where('runId', 'in', eb => eb.selectFrom('openRun').select('openRun.id'))
    .where('status', 'in', from)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return toToolCall(row)
  const call = await db
    .selectFrom('app.toolCalls')
    .innerJoin('app.agentRuns', join =>
      join
        .onRef('app.agentRuns.userId', '=', 'app.toolCalls.userId')
        .onRef('app.agentRuns.id', '=', 'app.toolCalls.runId'),
    )
    .select('app.toolCalls.status')
    .where('app.toolCalls.id', '=', input.id)
    .where(whereShown)
    .executeTakeFirst()
  if (!call) throw notFound('tool call')
  throw new AppError(
    'illegal_transition',
    `tool call "${input.id}" is ${call.status}: it cannot become ${to}`,
  )
}

/** Returns a page of a run's calls, oldest first. */
export async function listToolCalls(db: Database, input: ListToolCalls): Promise<Page<ToolCall>> {
  let query = db
    .selectFrom('app.toolCalls')
    .select(COLUMNS)
    .where('runId', 'in', eb =>
      eb.selectFrom('app.agentRuns').select('id').where('id', '=', input.runId).where(whereShown),
    )
    .orderBy('id')
    .limit(input.limit + 1)
  if (input.cursor) query = query.where('id', '>', input.cursor)
  const rows = await query.execute()
  if (rows.length === 0) await getRun(db, input.runId)
  return toPage(rows.map(toToolCall), input.limit, call => call.id)
}

function toToolCall(row: ToolCallRow): ToolCall {
  return { ...row, argumentsHash: row.argumentsHash.toString('hex') } as ToolCall
}
