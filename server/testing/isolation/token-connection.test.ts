import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SCOPES } from '#server/rpc/scopes.ts'
import { createApiToken, type House, openHouse } from '../actors.ts'
import { reasonOf } from '../refusal.ts'
import { createHousehold, type Household, sessionCredential, tokenCredential } from './dataset.ts'
import { connectAsApi } from './lease-prompt.ts'

// An API token with every scope, presented by hand on a connection of the API's login: what is for sessions
// stays closed to it.

let house: House
let client: pg.Client
let owner: Household

beforeAll(async () => {
  house = await openHouse()
  client = await connectAsApi(house)
  owner = await createHousehold(house, 'Owner')
})

afterAll(async () => {
  await client.end()
  await house.close()
})

/** The rows of an answer, of which nothing stays, or the code of a refusal. */
async function run(credential: string, sql: string): Promise<string> {
  await client.query('begin')
  try {
    await client.query(`select set_config('app.credential', $1, true)`, [credential])
    const { rows, rowCount } = await client.query<Record<string, unknown>>(sql)
    const isNothing = rows.every(row => Object.values(row).every(value => value === null || value === false))
    return `${rowCount} ${isNothing ? 'nothing' : 'something'}`
  } catch (error) {
    return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
  } finally {
    await client.query('rollback')
  }
}

const insertToken = `insert into app.api_tokens (name, prefix, token_hash, scopes) values ('x', 'rht_x', sha256('x'), '{}') returning id`

const attempts: [title: string, sqlOf: () => string, refusal: string][] = [
  ['makes a token', () => insertToken, '42501'],
  ['reads tokens', () => 'select id, name, scopes from app.api_tokens', '0 nothing'],
  ['changes tokens', () => 'update app.api_tokens set revoked_at = now() returning id', '0 nothing'],
  ['lists sessions', () => 'select * from app.list_sessions()', '0 nothing'],
  ['names a session', () => 'select app.current_session_id()', '1 nothing'],
  ['names who signed in', () => 'select app.current_session_user_id()', '1 nothing'],
  ['ends a session', () => `select app.revoke_session('${owner.sessionId}')`, '1 nothing'],
  ['exports the account', () => 'select * from app.export_account()', '0 nothing'],
  ['removes the account', () => 'select app.remove_account()', '28000'],
]

test.for(attempts)('a session %s, and a token does not', async ([, sqlOf, refusal]) => {
  const token = await createApiToken(owner, { scopes: SCOPES })
  expect(await run(tokenCredential(token), 'select id from app.tasks')).toContain('something')
  expect(await run(sessionCredential(owner), sqlOf())).not.toBe(refusal)
  expect(await run(tokenCredential(token), sqlOf())).toBe(refusal)
})

test('at a prompt a token reads its user’s rows whatever its scopes, which are the procedures’, and nobody else’s', async () => {
  const token = await createApiToken(owner, { scopes: ['tasks:read'] })
  const stranger = await createHousehold(house, 'Stranger')
  await client.query('begin')
  await client.query(`select set_config('app.credential', $1, true)`, [tokenCredential(token)])
  const { rows } = await client.query<{ ids: string[] }>(
    'select array(select user_id::text from app.connectors union select user_id::text from app.settings) as ids',
  )
  await client.query('rollback')
  expect(rows).toEqual([{ ids: [owner.userId] }])
  expect(rows[0]?.ids).not.toContain(stranger.userId)
  expect(await reasonOf(token.caller().connectors.list())).toBe('missing_scope')
})

test('a token ends no sessions, its user’s included', async () => {
  const token = await createApiToken(owner, { scopes: SCOPES })
  await client.query('begin')
  await client.query(`select set_config('app.credential', $1, true)`, [tokenCredential(token)])
  const { rows } = await client.query('select app.revoke_other_sessions() as revoked')
  await client.query('rollback')
  expect(rows).toEqual([{ revoked: 0 }])
})
