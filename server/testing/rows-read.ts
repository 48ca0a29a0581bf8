import { sql } from 'kysely'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Actor } from './actors.ts'
import { scopeOf } from './scope.ts'

/** Counts the rows of `app` that a read of this actor examines, returned or not. */
export function rowsReadBy(actor: Actor, read: (db: Database) => Promise<unknown>): Promise<number> {
  return scopedDatabase(actor.house.services.pools.api, scopeOf(actor, { isReadOnly: true }))
    .transaction()
    .execute(async transaction => {
      const before = await rowsCounted(transaction)
      await read(transaction)
      return (await rowsCounted(transaction)) - before
    })
}

/** The connection's count, which continues over transactions until the server's statistics collect it. */
async function rowsCounted(db: Database): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int as count
    from pg_stat_xact_user_tables
    where schemaname = 'app'
  `.execute(db)
  return rows[0]?.count ?? 0
}
