import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '#server/db/new-id.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { type Actor, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { sessionCredential, tokenCredential } from '#server/testing/isolation/dataset.ts'
import { connect, newExternalId, readConnection, readEvents } from '#server/testing/webhooks.ts'

// An attacker who can run SQL as one of the server's logins, with a session of their own. A user reads the
// webhooks of the account that their connection names, so only a provider's consent may set that account.

let house: House
let api: pg.Client
let system: pg.Client
let mallory: Actor
let ada: Actor
let hers: { id: string; externalId: string }

beforeAll(async () => {
  house = await openHouse()
  api = new pg.Client(toPgConfig(house.database.directUrls.api))
  system = new pg.Client(toPgConfig(house.database.directUrls.system))
  await Promise.all([api.connect(), system.connect()])
})

beforeEach(async () => {
  mallory = await createActor(house, { name: 'Mallory' })
  ada = await createActor(house, { name: 'Ada' })
  hers = await connect(ada, 'slack')
})

afterAll(async () => {
  await Promise.all([api.end(), system.end()])
  await house.close()
})

/** The rows that a statement returns under Mallory's session, or the SQLSTATE of its error. */
async function run(client: pg.Client, text: string, values: unknown[] = []): Promise<unknown> {
  await client.query('begin')
  try {
    await client.query(`select set_config('app.credential', $1, true)`, [sessionCredential(mallory)])
    const { rows, rowCount } = await client.query(text, values)
    await client.query('commit')
    return rows.length > 0 ? rows : rowCount
  } catch (error) {
    await client.query('rollback')
    if (error instanceof pg.DatabaseError) return error.code
    throw error
  }
}

const STORE =
  'select app.store_connection($1, $2, $3, $4, $5, $6, null, $7, null, $8, null, null, null) as stored'

function store(
  credential: string,
  { id = newId(), before = null as string | null, externalId = 'T-1' } = {},
) {
  return run(system, STORE, [credential, id, 'slack', before, externalId, 'x', [], '{}'])
}

describe('as the API’s login', () => {
  test('SQL cannot create a connection to an account without consent', async () => {
    const insert = `insert into app.connections (id, provider, external_id, name) values ($1, 'slack', $2, 'x')`
    expect(await run(api, insert, [newId(), hers.externalId])).toBe('42501')
    expect(await run(api, STORE, ['s:', newId(), 'slack', null, hers.externalId, 'x', [], '{}'])).toBe(
      '42501',
    )
  })

  test('SQL cannot point a connection at another account, or reactivate a revoked one', async () => {
    const own = await connect(mallory, 'slack')
    for (const change of [
      `external_id = 'T'`,
      `provider = 'github'`,
      'connected_at = now()',
      `user_id = user_id`,
    ]) {
      expect(await run(api, `update app.connections set ${change} where id = $1`, [own.id]), change).toBe(
        '42501',
      )
    }
    const ended = await connect(mallory, 'slack', { status: 'revoked' })
    expect(await run(api, `update app.connections set status = 'active' where id = $1`, [ended.id])).toBe(0)
    expect(await readConnection(house, ended.id)).toMatchObject({ status: 'revoked' })
  })

  test('SQL can neither read nor take another user’s refresh claim', async () => {
    await house.owner.query('update app.connections set refresh_claim = $2 where id = $1', [hers.id, newId()])
    expect(await run(api, 'select refresh_claim from app.connections')).toBe(0)
    expect(await run(api, 'update app.connections set refresh_claim = null')).toBe(0)
    expect(await run(api, `select app.store_refreshed_tokens(null, null, null, null, null, null)`)).toBe(
      '42501',
    )
  })

  test.for([
    `select * from app.receive_webhook('slack', 'x', 'x', 'x', '{}', 'revoke', '{}', '{}')`,
    'select * from app.claim_webhook_events(1, 1, 1)',
    'select app.process_webhook_event(null, null, 1)',
    `select app.fail_webhook_event(null, null, 1, 'x', null)`,
    'select app.sweep_webhooks()',
    'select app.sweep_sign_ins()',
    'select app.fold_message_deltas()',
    `select app.is_account_connected('slack', 'x')`,
    'select * from app.keep_keyring_check(null, null)',
    'select * from app.webhook_deliveries',
    'select state_hash from app.oauth_states',
    'select code_verifier from app.oauth_states',
    'select * from app.keyring_checks',
  ])('%s is rejected', async text => {
    expect(await run(api, text)).toBe('42501')
  })
})

describe('as the system’s login', () => {
  test('a connection is stored only for the user of the given session', async () => {
    expect(await store(sessionCredential(mallory), { externalId: newExternalId('slack') })).toEqual([
      { stored: true },
    ])
    const token = await createApiToken(mallory, { scopes: ['connections:write'] })
    for (const credential of [
      tokenCredential(token),
      `s:${'0'.repeat(64)}`,
      `s:${ada.sessionId}`,
      'l:00',
      '',
    ]) {
      expect(await store(credential), credential).toMatch(/^(28000|42501|22\w{3})$/)
    }
    const taken = { id: hers.id, before: hers.externalId, externalId: hers.externalId }
    const before = await readConnection(house, hers.id)
    expect(await store(sessionCredential(mallory), taken)).toEqual([{ stored: false }])
    expect(await readConnection(house, hers.id)).toEqual(before)
  })

  test('an event is processed only with its current attempt, and then neither again nor failed', async () => {
    const payload = [hers.externalId]
    await run(
      system,
      `select app.receive_webhook('slack', gen_random_uuid()::text, uuid_send(gen_random_uuid()), 'x', $1, 'revoke', '{}', '{"secret": 1}')`,
      [payload],
    )
    const [event] = await readEvents(house, hers.id)
    const process = (attempt: number) =>
      run(system, 'select app.process_webhook_event($1, $2, $3) as done', [ada.userId, event?.id, attempt])
    for (const attempt of [0, 1]) expect(await process(attempt)).toEqual([{ done: false }])
    const claimed = await run(system, 'select * from app.claim_webhook_events(50, 60, 10)')
    // The claim returns ids only, no payload.
    expect(claimed).toContainEqual({ user_id: ada.userId, id: event?.id, attempt: 1 })
    expect(await process(1)).toEqual([{ done: true }])
    expect(await process(1)).toEqual([{ done: false }])
    await run(system, `select app.fail_webhook_event($1, $2, 1, 'x', 0)`, [ada.userId, event?.id])
    expect((await readEvents(house, hers.id))[0]).toMatchObject({ status: 'processed', last_error: null })
  })

  test.for([
    'app.connections',
    'app.oauth_states',
    'app.provider_keys',
    'app.connectors',
    'app.webhook_deliveries',
    'app.webhook_events',
    'app.keyring_checks',
    'auth.accounts',
    'auth.sessions',
  ])('%s can be neither read nor deleted from', async table => {
    expect(await run(system, `select * from ${table}`)).toBe('42501')
    expect(await run(system, `delete from ${table}`)).toBe('42501')
  })

  test.for([
    'select * from app.open_task_secrets()',
    `select * from app.take_oauth_state('x')`,
    'select app.remove_account()',
    'select * from app.export_account()',
  ])('%s is rejected', async text => {
    expect(await run(system, text)).toBe('42501')
  })
})
