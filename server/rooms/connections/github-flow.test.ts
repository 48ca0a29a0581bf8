import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import type { FakeGithub, FakeInstallation } from '#server/testing/providers/github.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { type ConnectedHouse, openConnectedHouse } from './fixture.ts'

let connected: ConnectedHouse
let fake: FakeGithub
let ada: Actor
let installation: FakeInstallation

beforeAll(async () => {
  connected = await openConnectedHouse()
  fake = connected.fakes.github
})

beforeEach(async () => {
  fake.userTokens.lifetimeSeconds = 28_800
  ada = await createActor(connected.house)
  const login = `ada-${ada.userId}`
  installation = fake.install({ login, repositories: 120 })
  fake.browse({ login, installation })
})

afterAll(() => connected.close())

test('an installation can be connected, read, refreshed and disconnected', async () => {
  const { id, ...connection } = await connected.connect(ada, 'github')
  expect(connection).toMatchObject({
    externalId: String(installation.id),
    name: installation.account.login,
    status: 'active',
    settings: {
      accountLogin: installation.account.login,
      accountType: 'User',
      repositorySelection: 'selected',
      isSuspended: false,
    },
  })
  expect(await repositories(id)).toHaveLength(120)

  fake.userTokens.expireAll()
  expect(await repositories(id)).toHaveLength(120)

  await ada.caller().connections.disconnect({ id })
  expect(fake.userTokens.all.at(-1)?.isRevoked).toBe(true)
  expect(await rows()).toEqual([])
  expect(fake.installations).toContain(installation)
})

test('a token that expires soon is refreshed before it is used', async () => {
  fake.userTokens.lifetimeSeconds = 30
  const { id } = await connected.connect(ada, 'github')
  fake.userTokens.lifetimeSeconds = 28_800
  fake.forgetCalls()
  await repositories(id)
  await repositories(id)
  expect(fake.calls('POST /login/oauth/access_token')).toBe(1)
})

test('an installation that the connecting user cannot list is not stored', async () => {
  const foreign = fake.install({ login: 'somebody-else' })
  const callback = await connected.consent(ada, 'github')
  callback.searchParams.set('installation_id', String(foreign.id))
  expect(await endOf(callback)).toBe('provider_refused')
  expect(await rows()).toEqual([])
  expect(fake.userTokens.all.at(-1)?.isRevoked).toBe(true)
})

test('an installation that its owner has not approved is not stored', async () => {
  fake.browse({ login: 'member', installation: null })
  expect(await endOf(await connected.consent(ada, 'github'))).toBe('installation_requested')
  expect(await rows()).toEqual([])
})

test('a suspended installation is connected as suspended, and lists no repositories', async () => {
  installation.suspended_at = '2026-05-01T00:00:00Z'
  const { id } = await connected.connect(ada, 'github')
  expect(await rows()).toEqual([{ id, status: 'active', isSuspended: true }])
  expect(await refusalOf(repositories(id))).toMatchObject({
    reason: 'provider_refused',
    message: 'GitHub refused the call: suspended',
  })
  installation.suspended_at = null
  expect(await repositories(id)).toHaveLength(120)
})

test('deleting the installation, or losing access to it, revokes the connection', async () => {
  const { id } = await connected.connect(ada, 'github')
  installation.visibleTo.clear()
  expect(await refusalOf(repositories(id))).toMatchObject({ reason: 'connection_revoked' })
  expect(await rows()).toEqual([{ id, status: 'revoked', isSuspended: false }])
  fake.forgetCalls()
  expect(await refusalOf(repositories(id))).toMatchObject({ reason: 'connection_revoked' })
  expect(fake.calls()).toBe(0)
})

test.each(['html', 'cut', 'empty', 'null', 'broken'] as const)(
  'after an answer that is %s, GitHub is unreachable',
  async garbage => {
    const { id } = await connected.connect(ada, 'github')
    fake.garbleNext(1, garbage)
    expect(await refusalOf(repositories(id))).toMatchObject({ reason: 'provider_unreachable' })
    const [first, second] = [await connected.consent(ada, 'github'), await connected.consent(ada, 'github')]
    fake.garbleNext(1, garbage)
    expect(await endOf(first)).toBe('provider_unreachable')
    fake.garbleNext(1, garbage, 'GET /user/installations')
    expect(await endOf(second)).toBe('provider_unreachable')
    expect(await repositories(id)).toHaveLength(120)
  },
)

test('two users of one installation have separate connections', async () => {
  const grace = await createActor(connected.house, { name: 'Grace' })
  const { id } = await connected.connect(ada, 'github')
  installation.visibleTo.add('grace')
  fake.browse({ login: 'grace', installation })
  const other = await connected.connect(grace, 'github')
  await ada.caller().connections.disconnect({ id })
  expect(await grace.caller().connections.github.repositories({ connectionId: other.id })).toHaveLength(120)
})

test('no token is stored in plain text', async () => {
  await connected.connect(ada, 'github')
  const { rows } = await connected.house.owner.query(
    'select row_to_json(c)::text as row from app.connections c',
  )
  const stored = rows.map(({ row }) => String(row)).join()
  for (const { accessToken, refreshToken } of fake.userTokens.all) {
    expect(stored).not.toContain(accessToken)
    expect(stored).not.toContain(refreshToken ?? accessToken)
  }
})

async function endOf(callback: URL): Promise<string | null> {
  const { location } = await connected.open(callback, ada)
  return location?.searchParams.get('error') ?? null
}

function repositories(connectionId: string) {
  return ada.caller().connections.github.repositories({ connectionId })
}

async function rows() {
  const found = await connected.house.owner.query(
    `select id, status, (settings ->> 'isSuspended')::boolean as "isSuspended" from app.connections where user_id = $1`,
    [ada.userId],
  )
  return found.rows
}
