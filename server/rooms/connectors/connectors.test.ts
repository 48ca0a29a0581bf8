import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import { type Actor, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { reasonOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { type ConnectorCheck, openConnector, recordCheck } from './queries.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

const REMOTE = { kind: 'remote', name: 'Wiki', url: 'https://mcp.example.com/mcp' } as const
const SECRETS = {
  env: { TOKEN: 'env-secret-1' },
  headers: { Authorization: 'Bearer header-secret-2', 'X-Team': 'header-secret-3' },
  oauthClientId: 'oauth-id-4',
  oauthClientSecret: 'oauth-secret-5',
}
const VALUES = ['env-secret-1', 'header-secret-2', 'header-secret-3', 'oauth-id-4', 'oauth-secret-5']

async function rowOf(id: string): Promise<Record<string, unknown>> {
  const { rows } = await house.owner.query('select * from app.connectors where id = $1', [id])
  return rows[0]
}

/** The database and the identity of this actor's procedures. */
function databaseOf(actor: Actor): Database {
  return scopedDatabase(house.services.pools.api, scopeOf(actor))
}

function open(actor: Actor, id: string) {
  return openConnector(databaseOf(actor), house.services.keyring, id)
}

async function check(actor: Actor, id: string, outcome: ConnectorCheck): Promise<void> {
  await recordCheck(databaseOf(actor), await open(actor, id), outcome)
}

/** The connector with its decrypted secrets, as a check or a worker reads it. */
async function opened(actor: Actor, id: string) {
  return (await open(actor, id)).secrets
}

describe('a connector', () => {
  it('is stored with sealed secrets, and shown without them', async () => {
    const created = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    expect(created).toEqual({
      id: expect.any(String),
      name: 'Wiki',
      kind: 'remote',
      command: null,
      args: [],
      url: REMOTE.url,
      envNames: ['TOKEN'],
      headerNames: ['Authorization', 'X-Team'],
      hasOauthClientId: true,
      hasOauthClientSecret: true,
      unreadable: [],
      status: 'disconnected',
      lastCheckedAt: null,
      lastError: null,
      tools: [],
      createdAt: expect.any(Date),
      updatedAt: expect.any(Date),
    })
    expect(await ada.caller().connectors.get({ id: created.id })).toEqual(created)
    expect(await ada.caller().connectors.list()).toEqual([created])
    const row = JSON.stringify(await rowOf(created.id))
    for (const value of VALUES) {
      expect(row).not.toContain(value)
      expect(JSON.stringify(created)).not.toContain(value)
    }
    expect(await opened(ada, created.id)).toEqual(SECRETS)
  })

  it('may be a command with arguments', async () => {
    const input = {
      kind: 'local',
      name: 'Files',
      command: 'npx',
      args: ['-y', '', 'NULL', '"\\', '{a,b}', '$HOME'],
    } as const
    const created = await ada.caller().connectors.create({ ...input, args: [...input.args] })
    expect(created).toMatchObject({ ...input, url: null, envNames: [], hasOauthClientId: false })
    const bare = await ada.caller().connectors.create({ kind: 'local', name: 'Files', command: 'npx' })
    expect(bare.args).toEqual([])
  })

  it('is listed, newest first', async () => {
    for (const name of ['first', 'second', 'third']) await ada.caller().connectors.create({ ...REMOTE, name })
    const names = (await ada.caller().connectors.list()).map(({ name }) => name)
    expect(names).toEqual(['third', 'second', 'first'])
  })

  it('is updated in the given fields only, and keeps its other secrets', async () => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    const changed = await ada
      .caller()
      .connectors.update({ id, name: 'Docs', headers: { 'X-New': 'new' }, oauthClientId: null, env: {} })
    expect(changed).toMatchObject({
      name: 'Docs',
      url: REMOTE.url,
      envNames: [],
      headerNames: ['X-New'],
      hasOauthClientId: false,
      hasOauthClientSecret: true,
    })
    expect(await opened(ada, id)).toEqual({
      env: {},
      headers: { 'X-New': 'new' },
      oauthClientId: null,
      oauthClientSecret: SECRETS.oauthClientSecret,
    })
    expect(await ada.caller().connectors.update({ id })).toEqual(await ada.caller().connectors.get({ id }))
  })

  it('keeps its last check when it is renamed, and resets it when its target changes', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    const tools = [{ name: 'search' }]
    await check(ada, id, { status: 'connected', tools })
    expect(await ada.caller().connectors.update({ id, name: 'Docs' })).toMatchObject({
      status: 'connected',
      tools,
      lastCheckedAt: expect.any(Date),
    })
    expect(await ada.caller().connectors.update({ id, headers: { 'X-New': 'new' } })).toMatchObject({
      status: 'disconnected',
      tools: [],
      lastCheckedAt: null,
    })
  })

  it('keeps its listed tools while it cannot be reached', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    const tools = [{ name: 'search' }]
    await check(ada, id, { status: 'connected', tools })
    await check(ada, id, { status: 'disconnected', error: 'it is gone' })
    expect(await ada.caller().connectors.get({ id })).toMatchObject({
      status: 'disconnected',
      lastError: 'it is gone',
      tools,
    })
    await check(ada, id, { status: 'connected', tools: [] })
    expect(await ada.caller().connectors.get({ id })).toMatchObject({ lastError: null, tools: [] })
  })

  it('does not store a check of its previous target', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    const before = await open(ada, id)
    await ada.caller().connectors.update({ id, url: 'https://elsewhere.example.com/' })
    await recordCheck(databaseOf(ada), before, { status: 'connected', tools: [] })
    expect(await ada.caller().connectors.get({ id })).toMatchObject({
      status: 'disconnected',
      lastCheckedAt: null,
    })
  })

  it('keeps two concurrent changes of different secrets', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    await Promise.all([
      ada.caller().connectors.update({ id, env: { A: 'one' } }),
      ada.caller().connectors.update({ id, oauthClientId: 'two' }),
      ada.caller().connectors.update({ id, headers: { B: 'three' } }),
    ])
    expect(await opened(ada, id)).toMatchObject({
      env: { A: 'one' },
      headers: { B: 'three' },
      oauthClientId: 'two',
    })
  })

  it('is deleted, also from the tasks that name it', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    await ada.caller().tasks.create({ prompt: 'x', connectorIds: [id] })
    expect(await ada.caller().connectors.remove({ id })).toEqual({ id })
    expect(await ada.caller().connectors.list()).toEqual([])
    expect(await reasonOf(ada.caller().connectors.remove({ id }))).toBe('not_found')
    const { rows } = await house.owner.query('select from app.task_connectors where connector_id = $1', [id])
    expect(rows).toEqual([])
  })

  it('is visible to its owner only', async () => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    const connectors = bob.caller().connectors
    const before = await rowOf(id)
    expect(await connectors.list()).toEqual([])
    for (const call of [
      () => connectors.get({ id }),
      () => connectors.update({ id, name: 'mine' }),
      () => connectors.update({ id, headers: { a: 'b' } }),
      () => connectors.test({ id }),
      () => connectors.remove({ id }),
      () => bob.caller().tasks.create({ prompt: 'x', connectorIds: [id] }),
    ]) {
      expect(await reasonOf(call())).toBe('not_found')
    }
    expect(await rowOf(id)).toEqual(before)
  })

  it('requires one scope to read and another to write', async () => {
    const { id } = await ada.caller().connectors.create(REMOTE)
    const { connectors } = (await createApiToken(ada, { scopes: ['connectors:read'] })).caller()
    expect(await connectors.get({ id })).toMatchObject({ id })
    expect(await reasonOf(connectors.update({ id, name: 'x' }))).toBe('missing_scope')
    expect(await reasonOf(connectors.test({ id }))).toBe('missing_scope')
    expect(await reasonOf(connectors.create(REMOTE))).toBe('missing_scope')
  })
})

describe('a check of a connector', () => {
  it('rejects a private address, and stores the error', async () => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS, url: 'http://127.0.0.1:1/' })
    const answer = await ada.caller().connectors.test({ id })
    expect(answer).toEqual({ status: 'disconnected', tools: [], error: expect.any(String) })
    expect(await ada.caller().connectors.get({ id })).toMatchObject({
      status: 'disconnected',
      lastError: answer.error,
      lastCheckedAt: expect.any(Date),
    })
    for (const value of VALUES) expect(answer.error).not.toContain(value)
  })

  it('runs no command unless the operator allows it', async () => {
    const command = {
      kind: 'local',
      name: 'x',
      command: 'touch',
      args: ['/tmp/should-not-be-there'],
    } as const
    const { id } = await ada.caller().connectors.create({ ...command, args: [...command.args] })
    expect(await ada.caller().connectors.test({ id })).toMatchObject({ status: 'disconnected' })
  })

  it('is rejected if a secret cannot be decrypted', async () => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    await house.owner.query('update app.connectors set headers = env where id = $1', [id])
    expect(await reasonOf(ada.caller().connectors.test({ id }))).toBe('value_unreadable')
  })
})

describe('a secret that cannot be decrypted', () => {
  it.each([
    ['from another column', 'update app.connectors set headers = env where id = $1', ['headers']],
    [
      'from another row',
      `update app.connectors c set env = o.env, oauth_client_secret = o.oauth_client_secret
       from app.connectors o where o.user_id = c.user_id and o.id <> c.id and c.id = $1`,
      ['env', 'oauthClientSecret'],
    ],
    [
      'sealed with a removed key',
      `update app.connectors set oauth_client_id = regexp_replace(oauth_client_id, '^rh1\\.[^.]+', 'rh1.gone')
       where id = $1`,
      ['oauthClientId'],
    ],
  ])('%s is the only unreadable one, and can be set again', async (_, sql, unreadable) => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    const other = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    await house.owner.query(sql, [id])
    const listed = await ada.caller().connectors.list()
    expect(listed.map(connector => connector.unreadable)).toEqual([[], unreadable])
    expect(listed[0]).toEqual(other)
    expect(await ada.caller().connectors.update({ id, ...SECRETS })).toMatchObject({ unreadable: [] })
    expect(await opened(ada, id)).toEqual(SECRETS)
  })

  it('from another user is unreadable', async () => {
    const { id } = await ada.caller().connectors.create({ ...REMOTE, ...SECRETS })
    await house.owner.query('update app.connectors set user_id = $2 where id = $1', [id, bob.userId])
    expect(await bob.caller().connectors.get({ id })).toMatchObject({
      unreadable: ['env', 'headers', 'oauthClientId', 'oauthClientSecret'],
      envNames: [],
      headerNames: [],
    })
  })
})
