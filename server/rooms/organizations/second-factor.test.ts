import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'

// The organization requires a second factor. Its owner Ada has one, its member Bob has none.

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await switchOn(await createActor(house, { name: 'Ada' }))
  bob = await createActor(house, { name: 'Bob' })
})

afterAll(() => house.close())

const REFUSED = { code: 'PRECONDITION_FAILED', reason: 'two_factor_required' }

async function switchOn(actor: Actor): Promise<Actor> {
  await house.owner.query('update auth.users set two_factor_enabled = true where id = $1', [actor.userId])
  return startSession(actor)
}

async function createStrictOrganization(role: 'admin' | 'member' | 'owner' = 'member') {
  const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role }])
  return {
    organizationId,
    require: (requireTwoFactor = true) =>
      ada.caller().organizations.update({ organizationId, requireTwoFactor }),
  }
}

describe('acting in an organization that requires the factor', () => {
  it('is rejected by header, with what to do, until the factor is not required any more', async () => {
    const { organizationId, require } = await createStrictOrganization()
    const { tasks } = bob.caller({ 'x-organization-id': organizationId })
    await tasks.list({})
    await require()
    const refusal = await refusalOf(tasks.list({}))
    expect(refusal).toMatchObject(REFUSED)
    expect(refusal.message).toMatch(/switch it on for your account/)
    await require(false)
    await tasks.list({})
  })

  it('is rejected for a bound token, and for no other token', async () => {
    const { organizationId, require } = await createStrictOrganization()
    const bound = await createApiToken(bob, { scopes: ['tasks:read'], organizationId })
    const free = await createApiToken(bob, { scopes: ['tasks:read'] })
    await require()
    expect(await refusalOf(bound.caller().tasks.list({}))).toMatchObject(REFUSED)
    expect(await refusalOf(bound.caller().account.me())).toMatchObject(REFUSED)
    await free.caller().tasks.list({})
  })

  it('is rejected for a session that is active in it, which may choose another one', async () => {
    const { organizationId, require } = await createStrictOrganization()
    const { caller } = await startSession(bob)
    await caller().organizations.setActive({ organizationId })
    await require()
    expect(await refusalOf(caller().tasks.list({}))).toMatchObject(REFUSED)
    expect((await caller().account.me()).organization).toBeNull()
    await caller().organizations.setActive({ organizationId: null })
    await caller().tasks.list({})
  })

  it('does not affect the member’s own rows and other organizations', async () => {
    const { require } = await createStrictOrganization()
    const other = await createOrganization(bob)
    const task = await bob.caller().tasks.create({ prompt: 'x' })
    await require()
    expect((await bob.caller().tasks.get({ id: task.id })).id).toBe(task.id)
    await bob.caller({ 'x-organization-id': other.id }).tasks.list({})
  })

  it('ends with the next statement of a transaction', async () => {
    const { organizationId, require } = await createStrictOrganization()
    const scope = scopeOf(bob, { organizationId, isReadOnly: true })
    await scopedDatabase(house.services.pools.api, scope)
      .transaction()
      .execute(async trx => {
        const organization = async () =>
          (
            await trx
              .selectNoFrom(sql<string | null>`app.current_organization_id()`.as('id'))
              .executeTakeFirstOrThrow()
          ).id
        expect(await organization()).toBe(organizationId)
        await require()
        expect(await organization()).toBeNull()
      })
  })

  it('ends an open stream', async () => {
    const { organizationId, require } = await createStrictOrganization()
    const { id: taskId } = await bob.caller().tasks.create({ prompt: 'x' })
    await bob.caller().tasks.logs.append({ taskId, entries: [{ type: 'info', message: 'a line' }] })
    const stream = await bob.caller({ 'x-organization-id': organizationId }).tasks.logs.stream({ taskId })
    const events = stream[Symbol.asyncIterator]()
    expect((await events.next()).done).toBe(false)
    const next = refusalOf(events.next())
    await require()
    expect(await next).toMatchObject(REFUSED)
  })
})

describe('a member without the factor', () => {
  it('can see the organization, but neither its members nor its invitations', async () => {
    const { organizationId, require } = await createStrictOrganization('admin')
    await require()
    const { organizations } = bob.caller()
    expect((await organizations.get({ organizationId })).requireTwoFactor).toBe(true)
    expect(await refusalOf(organizations.members.list({ organizationId }))).toMatchObject(REFUSED)
    expect(await refusalOf(organizations.invitations.list({ organizationId }))).toMatchObject(REFUSED)
  })

  it('cannot change anything, even as an owner, but may leave', async () => {
    const { organizationId, require } = await createStrictOrganization('owner')
    await require()
    const { organizations } = bob.caller()
    const target = { organizationId, userId: ada.userId }
    const invitation = { organizationId, email: 'x@example.com', role: 'member' as const }
    const calls = [
      organizations.update({ organizationId, requireTwoFactor: false }),
      organizations.remove({ organizationId }),
      organizations.members.updateRole({ ...target, role: 'member' }),
      organizations.members.remove(target),
      organizations.invitations.create(invitation),
    ]
    for (const refusal of await Promise.all(calls.map(refusalOf))) expect(refusal).toMatchObject(REFUSED)
    await organizations.leave({ organizationId })
    expect(await refusalOf(organizations.get({ organizationId }))).toMatchObject({ reason: 'not_found' })
  })

  it('cannot require the factor of others', async () => {
    const { id: organizationId } = await createOrganization(bob)
    const update = bob.caller().organizations.update({ organizationId, requireTwoFactor: true })
    expect(await refusalOf(update)).toMatchObject(REFUSED)
  })

  it('gets access after turning it on', async () => {
    const carol = await createActor(house, { name: 'Carol' })
    const { id: organizationId } = await createOrganization(ada, [carol])
    await ada.caller().organizations.update({ organizationId, requireTwoFactor: true })
    const { caller } = await switchOn(carol)
    const me = await caller({ 'x-organization-id': organizationId }).account.me()
    expect(me.organization).toEqual({ id: organizationId, role: 'member' })
    expect(await refusalOf(carol.caller().account.me())).toMatchObject({ reason: 'unauthenticated' })
  })
})
