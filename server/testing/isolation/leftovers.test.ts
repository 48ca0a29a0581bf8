import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { type House, openHouse } from '../actors.ts'
import { createHousehold, type Household, sessionCredential } from './dataset.ts'
import { type Injector, openInjector } from './injector.ts'
import { LASTING, LET_THROUGH, OBSERVATION, REFUSED, REFUSED_BY_POSTGRES } from './leftovers.ts'

// What an attacker's SQL in a statement of the server's leaves to the next caller on the connection: nothing.

let house: House
let injector: Injector
let attacker: Household
let victim: Household
let untouched: Record<string, unknown> | undefined

beforeAll(async () => {
  house = await openHouse()
  attacker = await createHousehold(house, 'Attacker')
  victim = await createHousehold(house, 'Victim')
  injector = openInjector(house, { attacker, victim })
  // Closed where a superuser migrated; here the filter is to stand alone.
  await asSuperuser(
    `grant execute on function lo_create(oid), lo_from_bytea(oid, bytea), pg_advisory_lock(bigint),
       pg_try_advisory_lock(bigint), pg_try_advisory_lock_shared(bigint) to rowhouse_api`,
  )
  untouched = await injector.lookAround()
  const { taskId, removedTaskId, stoppedTaskId, leasedTaskId } = victim
  expect(untouched?.tasks).toEqual([taskId, removedTaskId, stoppedTaskId, leasedTaskId].sort())
})

afterAll(async () => {
  await injector.pool.end()
  await house.close()
})

describe('SQL in a statement of the server’s leaves nothing to the next caller, because it is refused unsent:', () => {
  test.for([...LASTING, ...REFUSED])('%s', async ([, text]) => {
    expect(await injector.inject(text)).toMatch(/^ForbiddenStatementError: /)
    expect(await injector.lookAround()).toEqual(untouched)
  })

  // Past the filter, on a connection of its own.
  test.for(LASTING)('%s would be met otherwise', async ([, text]) => {
    const client = new pg.Client(house.database.directUrls.api)
    client.on('error', () => {})
    await client.connect()
    try {
      const before = await lookAroundOn(client)
      await client.query('begin')
      await client.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
        sessionCredential(attacker),
        null,
        'any',
        false,
        5_000,
      ])
      await client.query(text)
      await client.query('commit')
      expect(await lookAroundOn(client)).not.toEqual(before)
    } finally {
      await client.end()
      await asSuperuser('select lo_unlink(oid) from pg_largeobject_metadata')
    }
  })
})

async function asSuperuser(text: string): Promise<void> {
  const superuser = new pg.Client(house.database.superuserUrl)
  await superuser.connect()
  await superuser.query(text)
  await superuser.end()
}

async function lookAroundOn(client: pg.Client): Promise<unknown> {
  await client.query('begin')
  await client.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
    sessionCredential(victim),
    null,
    'any',
    false,
    5_000,
  ])
  const { rows } = await client.query(OBSERVATION)
  await client.query('commit')
  return JSON.parse(JSON.stringify(rows[0]))
}

test.for(REFUSED_BY_POSTGRES)('the server itself refuses %s', async ([, text, code]) => {
  const db = scopedDatabase(injector.pool, injector.scopeOf(attacker, false))
  await expect(sql.raw(text).execute(db)).rejects.toMatchObject({ code })
  expect(await injector.lookAround()).toEqual(untouched)
})

test('queries and changes of rows are let through, however they are written', async () => {
  const db = scopedDatabase(injector.pool, injector.scopeOf(attacker, false))
  for (const text of LET_THROUGH) {
    const outcome = await sql
      .raw(text)
      .execute(db)
      .then(() => 'sent', String)
    expect([text, outcome]).toEqual([text, 'sent'])
  }
})

// A pooler lends one connection to other programs as well, which may not be as careful.
describe('sign_in puts right what another program left on the connection:', () => {
  const left = [
    ['app.credential', 's:00'],
    ['app.organization', 'x'],
    ['search_path', 'app, public'],
    ['row_security', 'off'],
    ['bytea_output', 'escape'],
    ['extra_float_digits', '-3'],
    ['transform_null_equals', 'on'],
    ['IntervalStyle', 'iso_8601'],
    ['TimeZone', 'Asia/Tokyo'],
    ['DateStyle', 'German'],
    ['lock_timeout', '1'],
    ['idle_in_transaction_session_timeout', '0'],
    ['statement_timeout', '4000'],
  ] as const

  test.for(left)('%s', async ([name, value]) => {
    const client = new pg.Client(house.database.directUrls.api)
    await client.connect()
    try {
      await client.query('select set_config($1, $2, false)', [name, value])
      await client.query('begin')
      await client.query({
        text: 'select * from app.sign_in($1, $2, $3, $4, $5)',
        values: [sessionCredential(victim), null, 'any', false, 5_000],
      })
      const { rows } = await client.query(OBSERVATION)
      const seen = JSON.parse(JSON.stringify(rows[0]))
      expect(seen.formats).toEqual(untouched?.formats)
      expect(seen.zone).toEqual(untouched?.zone)
      expect(seen.tasks).toEqual(untouched?.tasks)
      expect(seen.settings[name]).toBe(Object(untouched?.settings)[name])
      // The one that is active in their session.
      const { organizationId } = victim
      expect([seen.credential, seen.organization]).toEqual([sessionCredential(victim), organizationId])
    } finally {
      await client.end()
    }
  })
})
