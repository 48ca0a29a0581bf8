import { hash } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sealCheck, WrongKeysError } from '#server/crypto/check.ts'
import { keyIdOf, open, type Place, seal } from '#server/crypto/envelope.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { newId } from '#server/db/new-id.ts'
import type { Queryable } from '#server/postgres/migrations/connect.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createTestDatabase, openOwnerPool, type TestDatabase } from '#server/testing/database.ts'
import { resealColumn } from './reseal.ts'
import { rotate } from './rotation.ts'

const K1 = `k1:${hash('sha256', 'the first key')}`
const oldKeys = parseKeyring(K1)
const keyring = parseKeyring(`k2:${hash('sha256', 'the second key')},${K1}`)
const COLUMN = {
  table: 'app.connectors',
  column: 'env',
  tableSql: 'app.connectors',
  columnSql: 'env',
  ownerColumn: 'user_id',
} as const

let database: TestDatabase
let owner: pg.Pool
/** The rotating connection. Its statements fail if they wait for a lock, which no session here releases. */
let rotating: pg.Client
let userId: string

beforeAll(async () => {
  database = await createTestDatabase()
  owner = openOwnerPool(database)
  rotating = new pg.Client({ ...toPgConfig(database.ownerUrl), lock_timeout: 5_000 })
  await rotating.connect()
  const user = `insert into auth.users (name, email) values ('Ada', 'ada@example.com') returning id`
  userId = (await owner.query(user)).rows[0].id
})
beforeEach(async () => {
  await owner.query('delete from app.connectors')
})
afterAll(async () => {
  await rotating.end()
  await owner.end()
  await database.drop()
})

const placeOf = (rowId: string): Place => ({ table: 'app.connectors', column: 'env', ownerId: userId, rowId })

async function addConnector(text: string): Promise<string> {
  const id = newId()
  await owner.query(
    `insert into app.connectors (user_id, id, name, kind, command, env) values ($1, $2, 'x', 'local', 'true', $3)`,
    [userId, id, seal(oldKeys, text, placeOf(id))],
  )
  return id
}

async function opened(id: string): Promise<string> {
  const { rows } = await owner.query('select env from app.connectors where id = $1', [id])
  return open(keyring, rows[0].env, placeOf(id))
}

async function moveAll(
  through: Queryable,
): Promise<{ moved: number; missed: number; unreadable: unknown[] }> {
  const { signal } = new AbortController()
  const options = { keyring, batchSize: 10, isDryRun: false, signal, onBatch: () => {} }
  return resealColumn(through, COLUMN, options)
}

test('a value that its owner changes during a pass keeps the new value', async () => {
  const [changed, other] = [await addConnector('old'), await addConnector('other')]
  let isSet = false
  const interrupted: Queryable = {
    async query(sql: string, values?: unknown[]) {
      if (/^\s*with new/.test(sql) && !isSet) {
        isSet = true
        const value = seal(oldKeys, 'new', placeOf(changed))
        await owner.query('update app.connectors set env = $2 where id = $1', [changed, value])
      }
      return rotating.query(sql, values)
    },
  }
  expect(await moveAll(interrupted)).toEqual({ moved: 1, missed: 1, unreadable: [] })
  expect([await opened(changed), await opened(other)]).toEqual(['new', 'other'])
  expect(await moveAll(rotating)).toEqual({ moved: 1, missed: 0, unreadable: [] })
  expect(await opened(changed)).toBe('new')
})

test('a pass skips a locked row, and another pass moves it', async () => {
  const [held, free] = [await addConnector('held'), await addConnector('free')]
  const holder = await owner.connect()
  try {
    await holder.query('begin')
    await holder.query('select from app.connectors where id = $1 for update', [held])
    expect(await moveAll(rotating)).toEqual({ moved: 1, missed: 1, unreadable: [] })
    await holder.query('rollback')
  } finally {
    holder.release(true)
  }
  expect(await moveAll(rotating)).toEqual({ moved: 1, missed: 0, unreadable: [] })
  expect([await opened(held), await opened(free)]).toEqual(['held', 'free'])
})

test('a server that starts meanwhile with another key stops the rotation before it moves anything', async () => {
  const id = await addConnector('old')
  const another = parseKeyring(`k9:${hash('sha256', 'another key')}`)
  const late: Queryable = {
    async query(sql: string, values?: unknown[]) {
      if (/keep_keyring_check/.test(sql))
        await owner.query('select from app.keep_keyring_check($1, $2)', [sealCheck(another), another.keyIds])
      return rotating.query(sql, values)
    },
  }
  const { signal } = new AbortController()
  const options = { keyring, batchSize: 10, isDryRun: false, forget: [], signal, log: () => {} }
  await expect(rotate(late, options)).rejects.toThrow(WrongKeysError)
  const { rows } = await owner.query('select env from app.connectors where id = $1', [id])
  expect(keyIdOf(rows[0].env)).toBe('k1')
  await owner.query('delete from app.keyring_checks')
})

test('only the owner of a table can keep updated_at unchanged', async () => {
  await owner.query(`
    create table app.things (
      id integer primary key,
      updated_at timestamptz not null default '2020-01-01'
    );
    create trigger things_touch_updated_at before update on app.things
      for each row execute function app.touch_updated_at();
    insert into app.things values (1), (2);
    grant select, update on app.things to rowhouse_api;`)
  const touchedBy = async (url: string, id: number): Promise<boolean> => {
    const client = new pg.Client(toPgConfig(url))
    await client.connect()
    try {
      await client.query('begin')
      await client.query(`select set_config('app.keeps_updated_at', 'on', true)`)
      const { rows } = await client.query(
        `update app.things set id = id where id = $1 returning updated_at > '2020-01-01' as is_touched`,
        [id],
      )
      await client.query('commit')
      return rows[0].is_touched
    } finally {
      await client.end()
    }
  }
  expect(await touchedBy(database.ownerUrl, 1)).toBe(false)
  expect(await touchedBy(database.urls.api, 2)).toBe(true)
})
