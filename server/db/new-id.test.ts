import pg from 'pg'
import { expect, test } from 'vitest'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createTestDatabase } from '#server/testing/database.ts'
import { newId } from './new-id.ts'

test('new ids are version 7 UUIDs of the current time and ascend, on every version of Postgres', async () => {
  await using database = await createTestDatabase()
  const owner = new pg.Client(toPgConfig(database.ownerUrl))
  await owner.connect()
  const { rows } = await owner.query<{ id: string; before: string; after: string }>(
    `with made as materialized (select clock_timestamp() as before, app.new_id() as id from generate_series(1, 5000))
     select id, extract(epoch from before) * 1000 as before, extract(epoch from clock_timestamp()) * 1000 as after from made`,
  )
  await owner.end()

  const ids = rows.map(({ id }) => id)
  expect(
    ids.filter(id => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
  ).toEqual([])
  expect(ids).toEqual([...new Set(ids)].sort())
  for (const { id, before, after } of rows) {
    const madeAt = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    expect(madeAt).toBeGreaterThanOrEqual(Math.floor(Number(before)))
    expect(madeAt).toBeLessThanOrEqual(Number(after))
  }
})

test('ids of this process have the format of the database’s, and ascend even if the clock goes back', () => {
  const now = Date.now()
  const ids = Array.from({ length: 20_000 }, (_, n) => newId(n % 7 === 0 ? now - 5_000 : now))
  expect(
    ids.filter(id => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
  ).toEqual([])
  expect(ids).toEqual([...new Set(ids)].sort())
  const madeAt = Number.parseInt(newId(now).slice(0, 13).replace('-', ''), 16)
  expect(madeAt).toBeGreaterThanOrEqual(now)
  expect(madeAt).toBeLessThan(now + 100)
})
