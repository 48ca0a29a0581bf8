import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import type { FakeSlack, FakeTeam } from '#server/testing/providers/slack.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { type ConnectedHouse, openConnectedHouse } from './fixture.ts'

let connected: ConnectedHouse
let fake: FakeSlack
let ada: Actor
let team: FakeTeam

beforeAll(async () => {
  connected = await openConnectedHouse()
  fake = connected.fakes.slack
})

beforeEach(async () => {
  fake.tokens.lifetimeSeconds = 43_200
  ada = await createActor(connected.house)
  team = fake.addTeam({ name: 'Acme', channels: 5 })
  fake.browse(team)
})

afterAll(() => connected.close())

test('a workspace can be connected, read, refreshed and disconnected', async () => {
  const { id, ...connection } = await connected.connect(ada, 'slack')
  expect(connection).toMatchObject({
    externalId: team.id,
    name: 'Acme',
    status: 'active',
    settings: { teamName: 'Acme', botUserId: team.botUserId },
  })
  expect(await channels(id)).toHaveLength(5)

  fake.tokens.expireAll()
  expect(await channels(id)).toHaveLength(5)

  await ada.caller().connections.disconnect({ id })
  expect(fake.tokens.all.at(-1)?.isRevoked).toBe(true)
  expect(await rows()).toEqual([])
})

test('a token without rotation is never refreshed; its first rejection revokes the connection', async () => {
  fake.tokens.lifetimeSeconds = null
  const { id, expiresAt } = await connected.connect(ada, 'slack')
  expect(expiresAt).toBeNull()
  fake.forgetCalls()
  expect(await channels(id)).toHaveLength(5)
  expect(fake.calls()).toBe(1)

  fake.tokens.revokeAll()
  expect(await refusalOf(channels(id))).toMatchObject({ reason: 'connection_revoked' })
  expect(fake.calls()).toBe(2)
  expect(await rows()).toEqual([{ id, status: 'revoked' }])
})

test.each(['account_inactive', 'invalid_auth', 'token_revoked'])('%s revokes the connection', async error => {
  fake.tokens.lifetimeSeconds = null
  const { id } = await connected.connect(ada, 'slack')
  fake.answerNext(1, { status: 200, body: { ok: false, error } })
  expect(await refusalOf(channels(id))).toMatchObject({ reason: 'connection_revoked' })
  expect(await rows()).toEqual([{ id, status: 'revoked' }])
})

test('an invented code is rejected', async () => {
  const callback = await connected.consent(ada, 'slack')
  callback.searchParams.set('code', 'made-up')
  const { location } = await connected.open(callback, ada)
  expect(location?.searchParams.get('error')).toBe('provider_refused')
  expect(await rows()).toEqual([])
})

test.each(['html', 'cut', 'empty', 'null', 'broken'] as const)(
  'after an answer that is %s, Slack is unreachable',
  async garbage => {
    const { id } = await connected.connect(ada, 'slack')
    fake.garbleNext(1, garbage)
    expect(await refusalOf(channels(id))).toMatchObject({ reason: 'provider_unreachable' })
    const callback = await connected.consent(ada, 'slack')
    fake.garbleNext(1, garbage)
    const { location } = await connected.open(callback, ada)
    expect(location?.searchParams.get('error')).toBe('provider_unreachable')
    expect(await channels(id)).toHaveLength(5)
  },
)

test('a refresh that fails temporarily leaves the connection as it was', async () => {
  const { id } = await connected.connect(ada, 'slack')
  await connected.house.owner.query('update app.connections set expires_at = now() where id = $1', [id])
  fake.garbleNext(1, 'broken')
  expect(await refusalOf(channels(id))).toMatchObject({ reason: 'provider_unreachable' })
  expect(await rows()).toEqual([{ id, status: 'active' }])
  expect(await channels(id)).toHaveLength(5)
})

function channels(connectionId: string) {
  return ada.caller().connections.slack.channels({ connectionId })
}

async function rows() {
  const { rows } = await connected.house.owner.query(
    'select id, status from app.connections where user_id = $1',
    [ada.userId],
  )
  return rows
}
