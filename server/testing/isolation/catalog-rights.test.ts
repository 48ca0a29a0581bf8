import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeCatalog } from '#server/postgres/catalog-rights.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createTestDatabase, type TestDatabase } from '../database.ts'

// What Postgres opens to everyone, and a superuser can close in one database.

let database: TestDatabase
let api: pg.Client
let system: pg.Client
let owner: pg.Client
let superuser: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  const { directUrls, ownerUrl, superuserUrl } = database
  ;[api, system, owner, superuser] = (await Promise.all(
    ([directUrls.api, directUrls.system, ownerUrl, superuserUrl] as const).map(async url => {
      const client = new pg.Client(toPgConfig(url))
      client.on('error', () => {})
      await client.connect()
      return client
    }),
  )) as [pg.Client, pg.Client, pg.Client, pg.Client]
})
afterAll(async () => {
  await Promise.all([api, system, owner, superuser].map(client => client.end()))
  await database.drop()
})

async function codeOf(client: pg.Client, sql: string): Promise<string | undefined> {
  await client.query('begin')
  try {
    await client.query(sql)
    return undefined
  } catch (error) {
    return error instanceof pg.DatabaseError ? error.code : String(error)
  } finally {
    await client.query('rollback')
  }
}

const CLOSED = [
  ['a large object', 'select lo_create(0)'],
  ['a large object of bytes', `select lo_from_bytea(0, 'kept')`],
  ['a large object, read', 'select lo_get(1)'],
  ['an open large object', 'select lo_open(1, 131072)'],
  ['a lock', 'select pg_advisory_lock(1)'],
  ['a lock of the transaction', 'select pg_advisory_xact_lock(1, 2)'],
  ['a lock that is tried', 'select pg_try_advisory_lock_shared(1)'],
  ['another session’s end', 'select pg_terminate_backend(0)'],
  ['another session’s statement', 'select pg_cancel_backend(0)'],
  ['who is connected, and what they run', 'select * from pg_stat_activity'],
  ['what is done to a table', 'select * from pg_stat_user_tables'],
  ['reads of a table', 'select * from pg_statio_all_tables'],
  ['rows of a table', `select pg_stat_get_live_tuples('app.tasks'::regclass)`],
  ['databases', 'select * from pg_stat_database'],
] as const

test('an owner who is no superuser changes nothing, and is told nothing', async () => {
  const { rows } = await owner.query('select rolsuper from pg_roles where rolname = current_user')
  if (rows[0].rolsuper) return
  await closeCatalog(owner)
  expect(await codeOf(api, 'select count(*) from pg_stat_activity')).toBeUndefined()
})

describe('a superuser closes to the logins:', () => {
  beforeAll(async () => {
    await closeCatalog(superuser)
    await closeCatalog(superuser)
  })

  test.for(CLOSED)('%s', async ([, sql]) => {
    expect([await codeOf(api, sql), await codeOf(system, sql)]).toEqual(['42501', '42501'])
    // Objects and sessions that are not there are no matter of rights.
    expect([undefined, '42704']).toContain(await codeOf(owner, sql))
  })

  test('nothing that a transaction tells of itself', async () => {
    expect(await codeOf(api, 'select * from pg_stat_xact_user_tables')).toBeUndefined()
    expect(await codeOf(api, 'select * from pg_locks')).toBeUndefined()
  })
})
