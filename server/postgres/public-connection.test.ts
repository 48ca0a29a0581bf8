import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { publicDatabase } from '#server/db/database.ts'
import { type House, openHouse } from '#server/testing/actors.ts'
import { LoginPool } from './login-pool.ts'
import { toPgConfig } from './postgres-client.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

// A pooler lends the same connection to other programs, which may leave changed settings.
it.each([
  ['search_path', 'app', 'pg_catalog, pg_temp'],
  ['row_security', 'off', 'on'],
  ['bytea_output', 'escape', 'hex'],
  ['transform_null_equals', 'on', 'off'],
  ['lock_timeout', '4000', '6s'],
  ['extra_float_digits', '-3', '1'],
  ['DateStyle', 'German', 'ISO, MDY'],
  ['IntervalStyle', 'iso_8601', 'postgres'],
  ['TimeZone', 'Asia/Tokyo', 'UTC'],
  ['statement_timeout', '4000', '10s'],
  ['transaction_read_only', 'off', 'on'],
])('a statement without a credential resets %s', async (name, left, expected) => {
  const connection = { ...toPgConfig(house.database.directUrls.public), options: `-c ${name}=${left}` }
  const pool = new LoginPool({ connection, isNamed: true, maxConnections: 1 })
  try {
    const { rows } = await sql<{ value: string }>`select current_setting(${name}) as value`.execute(
      publicDatabase(pool, { timeoutMs: 10_000 }),
    )
    expect(rows).toEqual([{ value: expected }])
  } finally {
    await pool.end()
  }
})
