import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { StatementAbortedError } from '#server/db/errors.ts'
import { backendPid } from '#server/db/fixture.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { LoginPool } from './login-pool.ts'
import { toPgConfig } from './postgres-client.ts'

let house: House
let pool: LoginPool

beforeAll(async () => {
  house = await openHouse()
  pool = new LoginPool({
    connection: toPgConfig(house.database.directUrls.api),
    isNamed: true,
    maxConnections: 1,
  })
})
afterAll(async () => {
  await pool.end()
  await house.close()
})

function databaseOf(actor: Actor, signal?: AbortSignal) {
  return scopedDatabase(pool, scopeOf(actor, { permission: 'session', signal }))
}

const theme = { key: 'theme', value: '"dark"' }

async function keptBy({ userId }: Actor): Promise<number> {
  const { rowCount } = await house.owner.query('select from app.settings where user_id = $1', [userId])
  return rowCount ?? 0
}

describe('a caller that aborts in the middle of a transaction', () => {
  it.each(['before it is committed', 'before it is rolled back'])(
    'keeps no change, and leaves no state on the connection for the next caller: %s',
    async moment => {
      const [leaving, next] = [await createActor(house), await createActor(house)]
      const controller = new AbortController()
      const work = databaseOf(leaving, controller.signal)
        .transaction()
        .execute(async transaction => {
          await transaction.insertInto('app.settings').values(theme).execute()
          controller.abort()
          if (moment === 'before it is rolled back') throw new StatementAbortedError()
        })
      await expect(work).rejects.toThrow(StatementAbortedError)
      await databaseOf(next).insertInto('app.settings').values(theme).execute()
      expect([await keptBy(leaving), await keptBy(next)]).toEqual([0, 1])
    },
  )
})

it('a transaction that ends normally returns its connection for the next one', async () => {
  const [first, next] = [await createActor(house), await createActor(house)]
  const [before] = (await backendPid.execute(databaseOf(first))).rows
  await databaseOf(first)
    .transaction()
    .execute(async transaction => {
      await transaction.insertInto('app.settings').values(theme).execute()
      await transaction.deleteFrom('app.settings').execute()
    })
  const failing = databaseOf(first)
    .transaction()
    .execute(transaction => sql`select 1 / 0`.execute(transaction))
  await expect(failing).rejects.toMatchObject({ code: '22012' })
  expect((await backendPid.execute(databaseOf(next))).rows).toEqual([before])
})

it.each([
  ['TimeZone', 'Asia/Tokyo'],
  ['DateStyle', 'German'],
  ['application_name', 'x'],
])('a connection on which %s stays changed is not reused', async (name, value) => {
  const signedIn = await createActor(house)
  const [before] = (await backendPid.execute(databaseOf(signedIn))).rows
  const connection = await pool.checkOut()
  await connection.pipeline([{ sql: 'select set_config($1, $2, false)', values: [name, value] }], {
    timeoutMs: 5_000,
  })
  connection.release()
  expect((await backendPid.execute(databaseOf(signedIn))).rows).not.toEqual([before])
})
