import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'

// Ending a membership ends all access through it at once.

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})

afterAll(() => house.close())

const NOT_A_MEMBER = { code: 'FORBIDDEN', reason: 'not_a_member' }

/** The ways in which Bob's membership can end, through the router. */
const ENDINGS = {
  'he was removed': (organizationId: string) =>
    ada.caller().organizations.members.remove({ organizationId, userId: bob.userId }),
  'he left': (organizationId: string) => bob.caller().organizations.leave({ organizationId }),
  'the organization was removed': (organizationId: string) =>
    ada.caller().organizations.remove({ organizationId }),
}

const endings = Object.entries(ENDINGS)

async function actingOrganization(db: Database) {
  return db
    .selectNoFrom([
      sql<string | null>`app.current_organization_id()`.as('id'),
      sql<string | null>`app.current_organization_role()`.as('role'),
    ])
    .executeTakeFirstOrThrow()
}

describe('between two statements of one transaction', () => {
  it.for(endings)('a member loses access after %s', async ([, end]) => {
    const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'admin' }])
    const scope = scopeOf(bob, { organizationId })
    const work = scopedDatabase(house.services.pools.api, scope)
      .transaction()
      .execute(async trx => {
        const members = () =>
          trx
            .selectFrom('auth.members')
            .select('userId')
            .where('organizationId', '=', organizationId)
            .execute()
        expect(await members()).toHaveLength(2)
        expect(await actingOrganization(trx)).toEqual({ id: organizationId, role: 'admin' })
        await end(organizationId)
        expect(await members()).toEqual([])
        expect(await actingOrganization(trx)).toEqual({ id: null, role: null })
        await trx.insertInto('app.tasks').values({ title: 'x', prompt: 'x', organizationId }).execute()
      })
    await expect(work).rejects.toMatchObject({ code: '42501' })
  })

  it('a demoted admin is a member from the next statement on', async () => {
    const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'admin' }])
    const scope = scopeOf(bob, { organizationId, isReadOnly: true })
    await scopedDatabase(house.services.pools.api, scope)
      .transaction()
      .execute(async trx => {
        expect((await actingOrganization(trx)).role).toBe('admin')
        await ada
          .caller()
          .organizations.members.updateRole({ organizationId, userId: bob.userId, role: 'member' })
        expect((await actingOrganization(trx)).role).toBe('member')
      })
  })
})

describe('an open stream', () => {
  it.for(endings)('that acts in the organization ends after %s', async ([, end]) => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { id: taskId } = await bob.caller().tasks.create({ prompt: 'x' })
    const caller = bob.caller({ 'x-organization-id': organizationId })
    const stream = await caller.tasks.logs.stream({ taskId })
    const events = stream[Symbol.asyncIterator]()
    await bob.caller().tasks.logs.append({ taskId, entries: [{ type: 'info', message: 'a line' }] })
    expect((await events.next()).done).toBe(false)
    const next = refusalOf(events.next())
    await end(organizationId)
    expect(await next).toMatchObject(NOT_A_MEMBER)
  })

  it('of a token bound to the organization ends with the membership', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { caller } = await createApiToken(bob, { scopes: ['tasks:read'], organizationId })
    const { id: taskId } = await bob.caller().tasks.create({ prompt: 'x' })
    await bob.caller().tasks.logs.append({ taskId, entries: [{ type: 'info', message: 'a line' }] })
    const events = (await caller().tasks.logs.stream({ taskId }))[Symbol.asyncIterator]()
    expect((await events.next()).done).toBe(false)
    const next = refusalOf(events.next())
    await ada.caller().organizations.members.remove({ organizationId, userId: bob.userId })
    expect(await next).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
  })
})

describe('the next call', () => {
  it.for(endings)('that names the organization is rejected after %s', async ([, end]) => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { account } = bob.caller({ 'x-organization-id': organizationId })
    const token = await createApiToken(bob, { scopes: ['tasks:read'], organizationId })
    await bob.caller().organizations.setActive({ organizationId })
    expect((await account.me()).organization).toEqual({ id: organizationId, role: 'member' })
    expect((await token.caller().account.me()).organization?.id).toBe(organizationId)

    await end(organizationId)
    expect(await refusalOf(account.me())).toMatchObject(NOT_A_MEMBER)
    expect(await refusalOf(token.caller().account.me())).toMatchObject({ reason: 'unauthenticated' })
    // An organization that is only the session's active one is ignored instead.
    expect((await bob.caller().account.me()).organization).toBeNull()
  })
})
