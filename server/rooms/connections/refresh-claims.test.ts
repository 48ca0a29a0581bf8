import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { WrongKeysError } from '#server/crypto/check.ts'
import { DatabaseUnavailableError } from '#server/db/errors.ts'
import { type Actor, createActor, startSession } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { type ConnectedHouse, createAda, openConnectedHouse } from './fixture.ts'
import type { Connection } from './schema.ts'

// Only the holder of the claim may store the tokens of a refresh.

let connected: ConnectedHouse
let ada: Actor
let connection: Connection

const TOKEN = 'POST /oauth/token'

beforeAll(async () => {
  connected = await openConnectedHouse()
})

beforeEach(async () => {
  ada = await createAda(connected)
  connection = await connected.connect(ada, 'linear')
  connected.fakes.linear.tokens.expireAll()
  await connected.house.owner.query(
    `update app.connections set expires_at = now() - interval '1 second' where id = $1`,
    [connection.id],
  )
  connected.fakes.linear.forgetCalls()
})

afterEach(() => {
  connected.fakes.linear.comeBack()
  vi.restoreAllMocks()
})

afterAll(() => connected.close())

const ask = (actor: Actor) => actor.caller().connections.linear.teams({ connectionId: connection.id })

async function row(): Promise<Record<string, unknown>> {
  const { rows } = await connected.house.owner.query('select * from app.connections where id = $1', [
    connection.id,
  ])
  return rows[0]
}

test('tokens are stored even if the caller’s session has ended, and the next session uses them', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const refused = refusalOf(ask(ada))
  await held.waiting(1)
  const again = await startSession(ada)
  await again.caller().account.revokeOtherSessions()
  held.release()
  // The provider is not called for a user who has signed out.
  expect(await refused).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
  expect(connected.fakes.linear.calls('POST /graphql')).toBe(0)
  expect(await row()).toMatchObject({ token_version: 1, refresh_claim: null, refresh_claimed_until: null })
  expect(await ask(again)).toHaveLength(2)
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
})

test('tokens are stored even if the database was unavailable when they arrived', async () => {
  const { system } = connected.house.services.pools
  const store = vi.spyOn(system, 'storeRefreshedTokens')
  for (let time = 0; time < 3; time++) store.mockRejectedValueOnce(new DatabaseUnavailableError('gone'))
  expect(await ask(ada)).toHaveLength(2)
  expect(store).toHaveBeenCalledTimes(4)
  expect(await row()).toMatchObject({ token_version: 1, refresh_claim: null })
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
})

test('tokens of a user who was removed in the meantime are not stored', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const refused = refusalOf(ask(ada))
  await held.waiting(1)
  await ada.caller().account.remove()
  held.release()
  expect(await refused).toMatchObject({ reason: 'unauthenticated' })
  expect(await row()).toBeUndefined()
})

test('tokens that arrive after a revocation do not reactivate the connection', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const refused = refusalOf(ask(ada))
  await held.waiting(1)
  await connected.house.owner.query(
    `update app.connections set status = 'revoked', access_token = null, refresh_token = null,
       token_version = token_version + 1
     where id = $1`,
    [connection.id],
  )
  held.release()
  expect(await refused).toMatchObject({ reason: 'connection_revoked' })
  expect(await row()).toMatchObject({ status: 'revoked', access_token: null, refresh_token: null })
})

test('the system login stores nothing without the current claim', async () => {
  const { system } = connected.house.services.pools
  const bob = await createActor(connected.house, { name: 'Bob' })
  const theirs = await connected.connect(bob, 'linear')
  const [claim, theirClaim] = [randomUUID(), randomUUID()]
  const sealed = { accessToken: `rh1.k1.${'A'.repeat(40)}`, refreshToken: null, expiresAt: null }
  const before = await row()
  const mine = { userId: ada.userId, id: connection.id }
  const isClaimed = `update app.connections set refresh_claim = $2 where id = $1`
  // No claim exists yet, and null does not match it.
  expect(await system.storeRefreshedTokens({ ...mine, claim }, sealed)).toBeNull()
  await connected.house.owner.query(isClaimed, [connection.id, claim])
  await connected.house.owner.query(isClaimed, [theirs.id, theirClaim])
  for (const wrong of [
    { ...mine, claim: theirClaim },
    { ...mine, claim: randomUUID() },
    { ...mine, claim: null as unknown as string },
    { ...mine, userId: bob.userId, claim },
    { ...mine, id: theirs.id, claim },
  ]) {
    expect(await system.storeRefreshedTokens(wrong, sealed)).toBeNull()
  }
  expect((await row()).access_token).toBe(before.access_token)
  expect(await system.storeRefreshedTokens({ ...mine, claim }, sealed)).toBe(1)
  expect(await system.storeRefreshedTokens({ ...mine, claim }, sealed)).toBeNull()
})

test('a process whose keys no other process has does not call the provider', async () => {
  const { services } = connected.house
  vi.spyOn(services, 'sealingKeyring').mockRejectedValue(new WrongKeysError('other keys'))
  const before = await row()
  await expect(ask(ada)).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  expect(await row()).toMatchObject({
    access_token: before.access_token,
    refresh_token: before.refresh_token,
    refresh_claim: null,
    refresh_claimed_until: null,
  })
  vi.restoreAllMocks()

  const url = await connected.consent(ada, 'linear')
  vi.spyOn(services, 'sealingKeyring').mockRejectedValue(new WrongKeysError('other keys'))
  expect((await connected.open(url, ada)).status).toBe(500)
  await expect(connected.consent(ada, 'linear')).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' })
  expect(connected.fakes.linear.calls(TOKEN)).toBe(0)
})

test('a refused refresh sets the status to error, and a successful one to active', async () => {
  const { linear } = connected.fakes
  linear.answerNext(1, { status: 401, body: { error: 'invalid_client' } }, TOKEN)
  expect(await refusalOf(ask(ada))).toMatchObject({ reason: 'provider_refused' })
  expect(await row()).toMatchObject({ status: 'error', token_version: 0, refresh_claim: null })
  expect(await ask(ada)).toHaveLength(2)
  expect(await row()).toMatchObject({ status: 'active', token_version: 1 })
})
