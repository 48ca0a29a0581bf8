import { sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import { createSecret, credentialOf, storedSecret } from '#server/crypto/bearer-secrets.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import { DEFAULT_TIMEOUT_MS } from '#server/db/scope.ts'
import type { TimeBudget } from '#server/db/time-budget.ts'
import { AppError } from '#server/rpc/errors.ts'
import { COLUMNS, getTask, toTask } from './queries.ts'
import type { Claim, ClaimTask, CompleteTask, FailTask, Task } from './schema.ts'
import { TASK_TRANSITIONS } from './state.ts'

interface ClaimContext {
  readonly services: Pick<Services, 'pools'>
  readonly budget: TimeBudget
}

/**
 * The user whose task this process claimed last: the operator's workers serve users in turn. Only a hint, so
 * a restart may lose it.
 */
let lastServedUserId: string | null = null

/** Claims the caller's oldest pending task, or one whose lease has lapsed; null if there is none. */
export async function claimOwnTask(db: Database, ctx: ClaimContext, input: ClaimTask): Promise<Claim | null> {
  const lease = createSecret('rhl_')
  const { rows } = await sql<{ taskId: string | null; expiresAt: Date }>`
    select * from app.claim_task(${input.worker}, ${input.leaseSeconds}, ${storedSecret(lease)})
  `.execute(db)
  const [claimed] = rows
  return claimed?.taskId
    ? openClaim(ctx, { lease, taskId: claimed.taskId, expiresAt: claimed.expiresAt })
    : null
}

/**
 * Like {@link claimOwnTask}, but for the operator's workers: claims a task of any user, serving users in
 * turn.
 */
export async function claimAnyTask(ctx: ClaimContext, input: ClaimTask): Promise<Claim | null> {
  const lease = createSecret('rhl_')
  const claim = { ...input, credentialHash: storedSecret(lease) }
  const { services, budget } = ctx
  const claimed = await services.pools.system.within({ budget }).claimTask(claim, lastServedUserId)
  if (!claimed) return null
  lastServedUserId = claimed.userId
  return openClaim(ctx, { lease, ...claimed })
}

/** Reads the task with the new lease as the credential, so the worker sees only what the lease grants. */
async function openClaim(
  { services, budget }: ClaimContext,
  { lease, taskId, expiresAt }: { lease: string; taskId: string; expiresAt: Date },
): Promise<Claim> {
  const db = scopedDatabase(services.pools.api, {
    credential: credentialOf(lease, 'rhl_'),
    organizationId: null,
    permission: 'tasks:read+lease',
    isReadOnly: true,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    budget,
  })
  return { task: await getTask(db, taskId), lease, expiresAt }
}

/**
 * Extends the lease by its own length. `stop` is true if the task's maximum duration leaves no time for
 * another heartbeat: the worker should finish. Throws `lease_lost` once the lease has ended.
 */
export async function extendLease(db: Database): Promise<{ expiresAt: Date; stop: boolean }> {
  const { rows } = await sql<{ expiresAt: Date; isLast: boolean }>`select * from app.extend_lease()`.execute(
    db,
  )
  const [lease] = rows
  if (!lease) throw leaseLost()
  return { expiresAt: lease.expiresAt, stop: lease.isLast }
}

/** Completes the leased task and ends its lease. */
export function completeTask(db: Database, input: CompleteTask): Promise<Task> {
  return endTask(db, 'complete', { progress: 100, result: JSON.stringify(input.result ?? null) })
}

/** Fails the leased task and ends its lease. */
export function failTask(db: Database, input: FailTask): Promise<Task> {
  return endTask(db, 'fail', { error: input.error })
}

async function endTask(
  db: Database,
  action: 'complete' | 'fail',
  changes: { progress?: number; result?: string; error?: string },
): Promise<Task> {
  const { from, to } = TASK_TRANSITIONS[action]
  const row = await db
    .updateTable('app.tasks')
    .set({ ...changes, status: to, completedAt: sql<Date>`now()` })
    .where('id', '=', sql<string>`app.leased_task_id()`)
    .where('status', 'in', from)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw leaseLost()
  return toTask(row)
}

function leaseLost(): AppError {
  return new AppError(
    'lease_lost',
    'the lease has ended: the task is finished, stopped or claimed by another worker',
  )
}
