import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, openOwnerPool, type TestDatabase } from '#server/testing/database.ts'
import {
  assertKeys,
  checkBeforeSealing,
  type KeyringCheck,
  refuseWrongKeys,
  sealCheck,
  WrongKeysError,
} from './check.ts'
import { type Keyring, parseKeyring } from './keyring.ts'

const [first, second] = ['k1', 'k2'].map(id => parseKeyring(`${id}:${randomBytes(32).toString('hex')}`)) as [
  Keyring,
  Keyring,
]

let database: TestDatabase
let owner: pg.Pool

beforeAll(async () => {
  database = await createTestDatabase()
  owner = openOwnerPool(database)
})
beforeEach(async () => {
  await owner.query('delete from app.keyring_checks')
})
afterAll(async () => {
  await owner.end()
  await database.drop()
})

const KEEP = 'select key_id as "keyId", value from app.keep_keyring_check($1, $2)'
const kept = (keyring: Keyring) => [sealCheck(keyring), keyring.keyIds]

test('if two servers with different keys start at once, the second waits for the first one’s check value, and is refused', async () => {
  const starting = await owner.connect()
  let late: Promise<pg.QueryResult<KeyringCheck>>
  try {
    await starting.query('begin')
    await starting.query(KEEP, kept(first))
    late = owner.query(KEEP, kept(second))
    const waiting = async () => {
      const { rows } = await starting.query(
        `select count(*)::int as count from pg_locks where not granted and relation = 'app.keyring_checks'::regclass`,
      )
      return rows[0].count
    }
    await expect.poll(waiting).toBe(1)
    await starting.query('commit')
  } finally {
    starting.release(true)
  }
  const { rows: checks } = await late
  expect(checks.map(({ keyId }) => keyId)).toEqual(['k1'])
  expect(() => refuseWrongKeys(first, checks)).not.toThrow()
  expect(() => refuseWrongKeys(second, checks)).toThrow(WrongKeysError)
})

test('a refused keyring leaves no check value, which would stop servers with the right one', async () => {
  const keeper = {
    async keepKeyringCheck(value: string, keyIds: readonly string[]) {
      return (await owner.query<KeyringCheck>(KEEP, [value, keyIds])).rows
    },
  }
  await assertKeys(keeper, first)
  const another = randomBytes(32).toString('hex')
  const wrong = parseKeyring(`k2:${another},k1:${another}`)
  await expect(assertKeys(keeper, wrong)).rejects.toThrow(/another key under the id "k1"/)
  await assertKeys(keeper, first)
  const { rows } = await owner.query('select key_id from app.keyring_checks')
  expect(rows).toEqual([{ key_id: 'k1' }])
})

test('a keyring is checked before it encrypts: once for concurrent calls, again after a failure, and never after a success', async () => {
  const answers = [new Error('no database'), 'kept'] as const
  let asked = 0
  const keeper = {
    async keepKeyringCheck(value: string) {
      const answer = answers[asked++]
      if (answer instanceof Error) throw answer
      return [{ keyId: 'k1', value }]
    },
  }
  const sealingKeyring = checkBeforeSealing(keeper, first)
  expect(asked).toBe(0)
  const failed = await Promise.allSettled([sealingKeyring(), sealingKeyring()])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await Promise.all([sealingKeyring(), sealingKeyring()])).toEqual([first, first])
  expect(await sealingKeyring()).toBe(first)
  expect(asked).toBe(2)
})
