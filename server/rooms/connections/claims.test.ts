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

// A row may change between reading a connection and writing to it.

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

/** Changes that others make in the meantime. */
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

test('one caller at a time can claim a refresh, and another one after the claim lapsed', async () => {
  const claim = await claimRefresh(db, read, 40)
  expect(await row()).toMatchObject({ refresh_claim: claim })
  expect(await claimRefresh(db, read, 40)).toBeNull()
  await change(`refresh_claimed_until = now() - interval '1 second'`)
  expect(await claimRefresh(db, read, 40)).toEqual(expect.any(String))
})

test.each([
  ['tokens that another caller refreshed', 'token_version = token_version + 1'],
  ['a revoked connection', `status = 'revoked'`],
])('a refresh of %s cannot be claimed', async (_what, set) => {
  await change(set)
  expect(await claimRefresh(db, read, 40)).toBeNull()
  expect(await row()).toMatchObject({ refresh_claim: null, refresh_claimed_until: null })
})

test('the holder of a lapsed claim cannot release the next holder’s claim', async () => {
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

test('a connection with newer tokens is not marked revoked for old ones', async () => {
  await change('token_version = token_version + 1')
  await markRevoked(db, read)
  expect(await row()).toMatchObject({ status: 'active', token_version: read.tokenVersion + 1 })
  await markRevoked(db, await getHeldConnection(db, read))
  expect(await row()).toMatchObject({ status: 'revoked', token_version: read.tokenVersion + 2 })
})

test('a consent does not overwrite an account that another tab stored in the meantime', async () => {
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
