import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { sessionCredential } from '#server/testing/isolation/dataset.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { connect } from '#server/testing/webhooks.ts'
import {
  claimRefresh,
  getHeldConnection,
  type HeldConnection,
  markRevoked,
  releaseRefresh,
} from './queries.ts'

// What was read of a connection may be out of date by the time that something is written for it.

let house: House
let ada: Actor
let db: Database
let read: HeldConnection

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  db = scopedDatabase(house.services.pools.api, scopeOf(ada))
})
beforeEach(async () => {
  const { id } = await connect(ada, 'linear')
  read = await getHeldConnection(db, { id })
})
afterAll(() => house.close())

/** What others do meanwhile. */
async function change(set: string): Promise<void> {
  await house.owner.query(`update app.connections set ${set} where id = $1`, [read.id])
}

async function row() {
  const { rows } = await house.owner.query(
    'select status, token_version, refresh_claim, refresh_claimed_until from app.connections where id = $1',
    [read.id],
  )
  return rows[0]
}

test('a refresh is claimed by one at a time, and by the next once the claim has lapsed', async () => {
  const claim = await claimRefresh(db, read, 40)
  expect(await row()).toMatchObject({ refresh_claim: claim })
  expect(await claimRefresh(db, read, 40)).toBeNull()
  await change(`refresh_claimed_until = now() - interval '1 second'`)
  expect(await claimRefresh(db, read, 40)).toEqual(expect.any(String))
})

test.each([
  ['tokens that others have renewed', 'token_version = token_version + 1'],
  ['an access that has ended', `status = 'revoked'`],
])('no refresh is claimed of %s', async (_what, set) => {
  await change(set)
  expect(await claimRefresh(db, read, 40)).toBeNull()
  expect(await row()).toMatchObject({ refresh_claim: null, refresh_claimed_until: null })
})

test('who outlived their claim does not release the next one’s', async () => {
  await claimRefresh(db, read, 40)
  const next = randomUUID()
  await change(`refresh_claim = '${next}'`)
  await releaseRefresh(db, read, { claim: randomUUID(), status: 'error' })
  expect(await row()).toMatchObject({
    status: 'active',
    refresh_claim: next,
    refresh_claimed_until: expect.any(Date),
  })
  await releaseRefresh(db, read, { claim: next, status: 'error' })
  expect(await row()).toMatchObject({ status: 'error', refresh_claim: null, refresh_claimed_until: null })
})

test('the end of old tokens is not the end of those that came after them', async () => {
  await change('token_version = token_version + 1')
  await markRevoked(db, read)
  expect(await row()).toMatchObject({ status: 'active', token_version: read.tokenVersion + 1 })
  await markRevoked(db, await getHeldConnection(db, read))
  expect(await row()).toMatchObject({ status: 'revoked', token_version: read.tokenVersion + 2 })
})

test('a consent does not replace an account that another tab has put there meanwhile', async () => {
  const { system } = house.services.pools
  const consented = {
    id: read.id,
    provider: 'linear' as const,
    name: 'Acme',
    icon: null,
    scopes: [],
    botId: null,
    settings: {},
    accessToken: null,
    refreshToken: null,
    expiresAt: null,
  }
  const store = (before: string, externalId: string) =>
    system.storeConnection(sessionCredential(ada), { ...consented, before, externalId })
  expect(await store(read.externalId, 'T-theirs')).toBe(true)
  expect(await store(read.externalId, 'T-mine')).toBe(false)
  expect(await getHeldConnection(db, read)).toMatchObject({ externalId: 'T-theirs' })
})
