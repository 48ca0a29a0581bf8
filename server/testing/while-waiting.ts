import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import type { House } from './actors.ts'

type Statement = readonly [sql: string, values: readonly unknown[]]

/**
 * Locks rows as the owner, starts a call, and once it waits for the rows runs `meanwhile` in the locking
 * transaction. Returns the outcome of the call; throws if it did not wait.
 */
export async function whileWaiting<T>(
  house: Pick<House, 'owner'>,
  { locked, meanwhile = [] }: { locked: Statement; meanwhile?: readonly Statement[] },
  call: () => Promise<T>,
): Promise<T> {
  const blocker = await house.owner.connect()
  try {
    await blocker.query('begin')
    await blocker.query(locked[0], [...locked[1]])
    let isOver = false
    const late = call().finally(() => {
      isOver = true
    })
    late.catch(() => {})
    while (!(await blocksSomebody(blocker))) {
      if (isOver)
        throw new Error('the call did not wait', { cause: await late.catch((error: unknown) => error) })
      await sleep(5)
    }
    for (const [sql, values] of meanwhile) await blocker.query(sql, [...values])
    await blocker.query('commit')
    return await late
  } finally {
    // Closed, not returned: after a failure its transaction is still open.
    blocker.release(true)
  }
}

async function blocksSomebody(blocker: PoolClient): Promise<boolean> {
  // Not pg_stat_activity: within a transaction it stays as first read, without later connections.
  const { rows } = await blocker.query(
    'select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid)) limit 1',
  )
  return rows.length > 0
}
