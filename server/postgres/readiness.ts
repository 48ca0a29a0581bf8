import { TimeBudget } from '#server/db/time-budget.ts'
import type { LoginPool } from './login-pool.ts'
import type { ExpectedMigration } from './migrations/runner.ts'

/** Balancers ask every few seconds, and treat a late answer as a failure. */
const DEADLINE_MS = 3_000
const APPLIED = `select name, checksum from public.rowhouse_migrations where state = 'applied'`
const WRITES = `select pg_catalog.pg_is_in_recovery() as standby,
  pg_catalog.current_setting('transaction_read_only') as readonly`

/** Checks that the database answers, accepts writes and has exactly the migrations of this code. */
export async function checkReadiness(
  pool: LoginPool,
  expected: readonly ExpectedMigration[],
): Promise<{ ok: boolean; reason?: string }> {
  try {
    const { applied, isStandby, isReadOnly } = await readState(pool)
    if (isStandby) return { ok: false, reason: 'the database accepts no writes: it is a standby' }
    if (isReadOnly) {
      return { ok: false, reason: 'the database accepts no writes: default_transaction_read_only is on' }
    }
    const isCurrent =
      applied.size === expected.length &&
      expected.every(({ name, checksum }) => applied.get(name) === checksum)
    return isCurrent ? { ok: true } : { ok: false, reason: 'the schema is not at the version of this code' }
  } catch {
    return { ok: false, reason: 'the database is not available' }
  }
}

interface State {
  readonly applied: ReadonlyMap<unknown, unknown>
  readonly isStandby: boolean
  readonly isReadOnly: boolean
}

async function readState(pool: LoginPool): Promise<State> {
  const bounds = { budget: new TimeBudget(DEADLINE_MS), timeoutMs: DEADLINE_MS }
  const connection = await pool.checkOut(bounds)
  try {
    const steps = [APPLIED, WRITES].map(sql => ({ sql, values: [] }))
    const [applied, writes] = await connection.pipeline(steps, bounds)
    const [row] = writes?.rows ?? []
    return {
      applied: new Map(applied?.rows.map(({ name, checksum }) => [name, checksum])),
      isStandby: row?.standby === true,
      isReadOnly: row?.readonly === 'on',
    }
  } finally {
    connection.release()
  }
}
