import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type Actor, createActor, createOrganization } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { type ConnectedHouse, createAda, openConnectedHouse } from './fixture.ts'
import { LEAVING_MS } from './leaving.ts'
import { PROVIDERS } from './schema.ts'

// Access at providers when its user leaves, or when a connection is removed during a refresh.

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
  vi.restoreAllMocks()
})

afterAll(() => connected.close())

async function connectAll(actor: Actor) {
  for (const provider of PROVIDERS) await connected.connect(actor, provider)
  const { notion, github, slack, linear } = connected.fakes
  return [notion.tokens, github.userTokens, slack.tokens, linear.tokens].map(({ all }) => all.at(-1))
}

async function exists({ userId }: Actor): Promise<boolean> {
  const { rowCount } = await connected.house.owner.query('select from auth.users where id = $1', [userId])
  return rowCount === 1
}

test('removing an account revokes its access at every provider', async () => {
  const grants = await connectAll(ada)
  expect(grants.map(grant => grant?.isRevoked)).toEqual([false, false, false, false])
  await ada.caller().account.remove()
  expect(grants.map(grant => grant?.isRevoked)).toEqual([true, true, true, true])
  expect(await exists(ada)).toBe(false)
})

test('an account is removed even if providers are down or its tokens cannot be decrypted', async () => {
  const grants = await connectAll(ada)
  connected.fakes.notion.goDown()
  connected.fakes.github.garbleNext(9, 'broken')
  await connected.house.owner.query(
    `update app.connections set access_token = refresh_token where user_id = $1 and provider = 'linear'`,
    [ada.userId],
  )
  await ada.caller().account.remove()
  expect(await exists(ada)).toBe(false)
  expect(grants[2]?.isRevoked).toBe(true)
})

test('an account is removed even if a provider never answers', async () => {
  await connected.connect(ada, 'linear')
  const deadline = new AbortController()
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation(ms => {
    return ms === LEAVING_MS ? deadline.signal : timeout(ms)
  })
  const held = connected.fakes.linear.hold('POST /oauth/revoke')
  const removing = ada.caller().account.remove()
  await held.waiting(1)
  deadline.abort()
  await removing
  expect(await exists(ada)).toBe(false)
  held.release()
})

test('a refused removal revokes nothing', async () => {
  const connection = await connected.connect(ada, 'linear')
  await createOrganization(ada, [{ actor: await createActor(connected.house), role: 'admin' }])
  expect(await refusalOf(ada.caller().account.remove())).toMatchObject({ reason: 'last_owner' })
  expect(connected.fakes.linear.tokens.all.at(-1)?.isRevoked).toBe(false)
  expect(await ada.caller().connections.linear.teams({ connectionId: connection.id })).toHaveLength(2)
})

test('removing an account keeps a Slack team’s bot while other users are connected', async () => {
  const bob = await createActor(connected.house, { name: 'Bob' })
  const { slack } = connected.fakes
  slack.browse(slack.addTeam({ name: 'Shared', channels: 1 }))
  await connected.connect(ada, 'slack')
  const theirs = await connected.connect(bob, 'slack')
  await ada.caller().account.remove()
  expect(await bob.caller().connections.slack.channels({ connectionId: theirs.id })).toHaveLength(1)
  await bob.caller().account.remove()
  expect(slack.tokens.all.at(-1)?.isRevoked).toBe(true)
})

test('new tokens are revoked if their connection was removed during the refresh', async () => {
  const { linear } = connected.fakes
  const { id: connectionId } = await connected.connect(ada, 'linear')
  linear.tokens.expireAll()
  await connected.house.owner.query(
    `update app.connections set expires_at = now() - interval '1 second' where id = $1`,
    [connectionId],
  )
  const held = linear.hold('POST /oauth/token')
  const refused = refusalOf(ada.caller().connections.linear.teams({ connectionId }))
  await held.waiting(1)
  await connected.house.owner.query('delete from app.connections where id = $1', [connectionId])
  held.release()
  expect(await refused).toMatchObject({ code: 'NOT_FOUND' })
  expect(linear.tokens.all.at(-1)?.isRevoked).toBe(true)
})

test('new tokens of a removed connection are not revoked while others share the grant', async () => {
  const bob = await createActor(connected.house, { name: 'Bob' })
  const { slack } = connected.fakes
  slack.browse(slack.addTeam({ name: 'Late', channels: 1 }))
  const { id: connectionId } = await connected.connect(ada, 'slack')
  await connected.connect(bob, 'slack')
  await connected.house.owner.query('update app.connections set expires_at = now() where id = $1', [
    connectionId,
  ])
  const revocations = slack.calls('POST /api/auth.revoke')
  const held = slack.hold('POST /api/oauth.v2.access')
  const refused = refusalOf(ada.caller().connections.slack.channels({ connectionId }))
  await held.waiting(1)
  await connected.house.owner.query('delete from app.connections where id = $1', [connectionId])
  held.release()
  expect(await refused).toMatchObject({ code: 'NOT_FOUND' })
  expect(slack.calls('POST /api/auth.revoke')).toBe(revocations)
})
