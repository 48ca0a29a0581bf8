import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'

/** Advisory locks are per database; the key is "rowhouse" in ASCII. */
const lockKey = '8245937404618568549'

/**
 * Takes the lock that lets only one runner at a time change a database, and prints the pid that it waits for.
 * Postgres releases the lock when the session ends. This polls, because a waiting statement holds a snapshot,
 * for which `create index concurrently` of the lock's holder would wait.
 */
export async function takeMigrationLock(client: Client, log: (line: string) => void): Promise<void> {
  let saidPid: number | null = null
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>(
      `select pg_try_advisory_lock(${lockKey}) as taken`,
    )
    if (rows[0]?.taken) return
    const pid = await lockHolder(client)
    if (pid !== null && pid !== saidPid) {
      log(`another migration is running, pid ${pid}: waiting for it to end`)
      saidPid = pid
    }
    await sleep(200)
  }
}

export async function releaseMigrationLock(client: Client): Promise<void> {
  await client.query(`select pg_advisory_unlock(${lockKey})`)
}

async function lockHolder(client: Client): Promise<number | null> {
  const { rows } = await client.query<{ pid: number }>(`
    select pid
    from pg_catalog.pg_locks
    where locktype = 'advisory'
      and database = (select oid from pg_catalog.pg_database where datname = current_database())
      and (classid::bigint << 32 | objid::bigint) = ${lockKey}
      and objsubid = 1
      and granted
  `)
  return rows[0]?.pid ?? null
}
