import type { LoginPool } from './login-pool.ts'
import type { ExpectedMigration } from './migrations/runner.ts'
import { TimeBudget } from './time-budget.ts'

/** Balancers ask every few seconds, and take a late answer for none. */
const DEADLINE_MS = 3_000
const APPLIED = `select name, checksum from public.rowhouse_migrations where state = 'applied'`

/** Whether the database answers and holds exactly the migrations that this code comes with. */
export async function checkReadiness(
  pool: LoginPool,
  expected: readonly ExpectedMigration[],
): Promise<{ ok: boolean; reason?: string }> {
  try {
    const applied = await readApplied(pool)
    const isCurrent =
      applied.size === expected.length &&
      expected.every(({ name, checksum }) => applied.get(name) === checksum)
    return isCurrent ? { ok: true } : { ok: false, reason: 'the schema is not at the version of this code' }
  } catch {
    return { ok: false, reason: 'the database is not available' }
  }
}

async function readApplied(pool: LoginPool): Promise<Map<unknown, unknown>> {
  const bounds = { budget: new TimeBudget(DEADLINE_MS), timeoutMs: DEADLINE_MS }
  const connection = await pool.checkOut(bounds)
  try {
    const [result] = await connection.exchange([{ sql: APPLIED, values: [] }], bounds)
    return new Map(result?.rows.map(row => [row.name, row.checksum]))
  } finally {
    connection.release()
  }
}
