import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AppError } from '#server/rpc/errors.ts'
import type { Actor } from '#server/testing/actors.ts'
import { createActor, createApiToken } from '#server/testing/actors.ts'
import { TEST_PROVIDERS } from '#server/testing/providers/registry.ts'
import { browserOf, type ConnectedHouse, createAda, openConnectedHouse } from './fixture.ts'
import type { Connection } from './schema.ts'
import { PROVIDERS, type ProviderName } from './schema.ts'

let connected: ConnectedHouse
let ada: Actor

beforeAll(async () => {
  connected = await openConnectedHouse()
})

beforeEach(async () => {
  ada = await createAda(connected)
})

afterEach(() => {
  for (const fake of Object.values(connected.fakes)) fake.comeBack()
})

afterAll(() => connected.close())

/** Calls the provider for a list with the connection's token. */
function ask(actor: Actor, provider: ProviderName, connectionId: string): Promise<readonly unknown[]> {
  const query = TEST_PROVIDERS[provider].call
    .split('.')
    .reduce<unknown>((part, name) => Reflect.get(Object(part), name), actor.caller())
  return (query as (input: { connectionId: string }) => Promise<readonly unknown[]>)({ connectionId })
}

function tokensOf(provider: ProviderName) {
  return connected.opened[provider].tokens
}

async function rowOf({ id }: Connection): Promise<Record<string, unknown> | undefined> {
  const { rows } = await connected.house.owner.query('select * from app.connections where id = $1', [id])
  return rows[0]
}

async function refusalOf(call: Promise<unknown>): Promise<AppError> {
  const error = await call.then(
    () => null,
    (thrown: { cause: AppError }) => thrown.cause,
  )
  if (!error) throw new Error('the call succeeded')
  return error
}

describe.for(PROVIDERS)('an account at %s', provider => {
  const call = (connection: Connection) => ask(ada, provider, connection.id)

  test('can be connected, read, and disconnected on both sides', async () => {
    const returnTo = '/settings?tab=connections#here'
    const { status, location } = await connected.open(await connected.consent(ada, provider, returnTo), ada)
    expect(status).toBe(303)
    expect(location?.href).toBe(`http://localhost:3000/settings?tab=connections&connected=${provider}#here`)
    const [connection] = await ada.caller().connections.list()
    if (!connection) throw new Error('the flow stored no connection')
    expect(connection).toMatchObject({
      provider,
      name: expect.stringMatching(/acme/i),
      status: 'active',
      unreadable: false,
    })
    expect((await call(connection)).length).toBeGreaterThan(0)

    const grant = tokensOf(provider).all.at(-1)
    const row = await rowOf(connection)
    expect(row?.access_token).toMatch(/^rh1\./)
    const everything = JSON.stringify([row, connection])
    expect(everything).not.toContain(grant?.accessToken)
    expect(everything).not.toContain(grant?.refreshToken)

    expect(grant?.isRevoked).toBe(false)
    expect(await ada.caller().connections.disconnect({ id: connection.id })).toEqual({ id: connection.id })
    expect(grant?.isRevoked).toBe(true)
    expect(await rowOf(connection)).toBeUndefined()
    await expect(ada.caller().connections.disconnect({ id: connection.id })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  test('is read with a new token after the old one expired, and the new one is stored first', async () => {
    const connection = await connected.connect(ada, provider)
    const before = await rowOf(connection)
    tokensOf(provider).expireAll()
    await connected.house.owner.query(
      `update app.connections set expires_at = now() - interval '1 minute' where id = $1 and expires_at is not null`,
      [connection.id],
    )
    expect((await call(connection)).length).toBeGreaterThan(0)
    const after = await rowOf(connection)
    expect(after).toMatchObject({ status: 'active', refresh_claimed_until: null, token_version: 1 })
    expect(after?.access_token).not.toBe(before?.access_token)
  })

  test('is marked revoked after the provider revoked it, and can be connected again', async () => {
    const connection = await connected.connect(ada, provider)
    tokensOf(provider).revokeAll()
    expect((await refusalOf(call(connection))).reason).toBe('connection_revoked')
    expect(await rowOf(connection)).toMatchObject({
      status: 'revoked',
      access_token: null,
      refresh_token: null,
    })
    const { requests } = connected.fakes[provider]
    const count = requests.length
    expect((await refusalOf(call(connection))).reason).toBe('connection_revoked')
    expect(requests.length).toBe(count)

    const again = await connected.connect(ada, provider)
    expect(again).toMatchObject({ id: connection.id, status: 'active' })
    expect((await call(again)).length).toBeGreaterThan(0)
  })

  test('reports until when the provider limits calls', async () => {
    const connection = await connected.connect(ada, provider)
    connected.fakes[provider].limitNext(1, { retryAfterSeconds: 90 })
    const { reason, details } = await refusalOf(call(connection))
    expect(reason).toBe('rate_limited')
    const waitMs = (details.retryAt?.getTime() ?? 0) - Date.now()
    expect(waitMs).toBeGreaterThan(60_000)
    expect(waitMs).toBeLessThan(91_000)
    expect(await rowOf(connection)).toMatchObject({ status: 'active' })
  })

  test('stays connected while its provider is down or sends invalid answers', async () => {
    const connection = await connected.connect(ada, provider)
    const fake = connected.fakes[provider]
    fake.goDown()
    expect((await refusalOf(call(connection))).reason).toBe('provider_unreachable')
    fake.comeBack()
    for (const garbage of ['html', 'cut', 'empty', 'null', 'broken'] as const) {
      fake.garbleNext(1, garbage)
      expect((await refusalOf(call(connection))).reason, garbage).toBe('provider_unreachable')
    }
    expect(await rowOf(connection)).toMatchObject({ status: 'active' })
    expect((await call(connection)).length).toBeGreaterThan(0)
  })

  test('is disconnected here even if the provider is down', async () => {
    const connection = await connected.connect(ada, provider)
    connected.fakes[provider].goDown()
    await ada.caller().connections.disconnect({ id: connection.id })
    expect(await rowOf(connection)).toBeUndefined()
  })

  test('cannot be listed, read or disconnected by another user', async () => {
    const connection = await connected.connect(ada, provider)
    const bob = await createActor(connected.house, { name: 'Bob' })
    const { requests } = connected.fakes[provider]
    const count = requests.length
    expect(await bob.caller().connections.list()).toEqual([])
    expect((await refusalOf(ask(bob, provider, connection.id))).reason).toBe('not_found')
    expect((await refusalOf(bob.caller().connections.disconnect({ id: connection.id }))).reason).toBe(
      'not_found',
    )
    expect(requests.length).toBe(count)
    expect(await rowOf(connection)).toBeDefined()
  })

  test('is not connected if the user declines', async () => {
    const { decline, furnish } = connected.opened[provider]
    if (!decline) return
    decline()
    const { location } = await connected.open(await connected.consent(ada, provider), ada)
    expect(location?.href).toBe('http://localhost:3000/?error=access_denied')
    expect(await ada.caller().connections.list()).toEqual([])
    furnish()
  })

  test('is listed as unreadable if its tokens cannot be decrypted, until it is connected again', async () => {
    const connection = await connected.connect(ada, provider)
    const other = await connected.connect(await createActor(connected.house, { name: 'Bob' }), provider)
    await connected.house.owner.query(
      `update app.connections set access_token = (select access_token from app.connections where id = $2) where id = $1`,
      [connection.id, other.id],
    )
    expect(await ada.caller().connections.list()).toMatchObject([{ id: connection.id, unreadable: true }])
    expect((await refusalOf(call(connection))).reason).toBe('value_unreadable')
    expect(await connected.connect(ada, provider)).toMatchObject({ id: connection.id, unreadable: false })
  })
})

test('the list of providers shows which are configured, and their scopes', async () => {
  expect(await ada.caller().connections.providers()).toEqual(
    PROVIDERS.map(provider => ({ provider, configured: true, scopes: expect.any(Array) })),
  )
})

test('another Notion workspace replaces the first, whose access is revoked', async () => {
  const first = await connected.connect(ada, 'notion')
  await ada.caller().connections.notion.selectDatabase({
    connectionId: first.id,
    databaseId: connected.fakes.notion.workspaces[0]?.databases[0]?.id ?? '',
  })
  const grant = tokensOf('notion').all.at(-1)
  const workspace = connected.fakes.notion.addWorkspace({ name: 'Beacme' })
  connected.fakes.notion.browse(workspace)
  await connected.connect(ada, 'notion')
  const all = await ada.caller().connections.list()
  expect(all).toMatchObject([{ externalId: workspace.id, settings: {} }])
  expect(grant?.isRevoked).toBe(true)
})

test('two Slack teams are two connections, and the same team twice is one', async () => {
  const { slack } = connected.fakes
  await connected.connect(ada, 'slack')
  await connected.connect(ada, 'slack')
  expect(await ada.caller().connections.list()).toHaveLength(1)
  slack.browse(slack.addTeam({ name: 'Acme Labs' }))
  await connected.connect(ada, 'slack')
  expect(await ada.caller().connections.list()).toHaveLength(2)
})

test('a Slack team that two users connected keeps its bot until both disconnect', async () => {
  const bob = await createActor(connected.house, { name: 'Bob' })
  const team = connected.fakes.slack.addTeam({ name: 'Shared', channels: 1 })
  connected.fakes.slack.browse(team)
  const mine = await connected.connect(ada, 'slack')
  const theirs = await connected.connect(bob, 'slack')
  const revocations = () => connected.fakes.slack.calls('POST /api/auth.revoke')
  const before = revocations()
  await ada.caller().connections.disconnect({ id: mine.id })
  expect(revocations()).toBe(before)
  expect(await bob.caller().connections.slack.channels({ connectionId: theirs.id })).toHaveLength(1)
  await bob.caller().connections.disconnect({ id: theirs.id })
  expect(revocations()).toBe(before + 1)
})

test('a selected Notion database stays selected when the workspace is connected again', async () => {
  const { notion } = connected.fakes
  const workspace = notion.addWorkspace({ name: 'Acme', databases: ['Roadmap', 'Bugs', ''] })
  notion.browse(workspace)
  const { id: connectionId } = await connected.connect(ada, 'notion')
  const [bugs] = await ada.caller().connections.notion.databases({ connectionId, search: 'bug' })
  expect(bugs).toMatchObject({ name: 'Bugs', id: workspace.databases[1]?.id })
  const selected = { databaseId: bugs?.id ?? '', databaseName: 'Bugs' }
  const select = (databaseId: string) =>
    ada.caller().connections.notion.selectDatabase({ connectionId, databaseId })
  expect(await select(selected.databaseId)).toEqual(selected)
  expect((await refusalOf(select('0198c0de-0000-7000-8000-000000000000'))).reason).toBe('not_found')
  await expect(select('../users')).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  await connected.connect(ada, 'notion')
  expect(await ada.caller().connections.list()).toMatchObject([{ id: connectionId, settings: selected }])
})

test('a connection to one provider cannot be used for another', async () => {
  const { id: connectionId } = await connected.connect(ada, 'slack')
  expect((await refusalOf(ada.caller().connections.linear.teams({ connectionId }))).reason).toBe('not_found')
})

test('a read-only token can read from the provider, but neither connect nor disconnect', async () => {
  const connection = await connected.connect(ada, 'linear')
  const reader = (await createApiToken(ada, { scopes: ['connections:read'] })).caller()
  expect(await reader.connections.linear.teams({ connectionId: connection.id })).toHaveLength(2)
  expect((await refusalOf(reader.connections.disconnect({ id: connection.id }))).reason).toBe('missing_scope')
  expect((await refusalOf(reader.connections.authorize({ provider: 'linear' }))).reason).toBe('missing_scope')
})

test('two tabs that finish flows to one account at once create one connection', async () => {
  const flows = await Promise.all(Array.from({ length: 8 }, () => connected.consent(ada, 'linear')))
  const ends = await Promise.all(flows.map(url => connected.open(url, ada)))
  expect(ends.map(({ location }) => location?.searchParams.get('connected'))).toEqual(
    flows.map(() => 'linear'),
  )
  expect(await ada.caller().connections.list()).toHaveLength(1)
  expect(await browserOf(ada).connections.list()).toMatchObject([{ unreadable: false }])
})
