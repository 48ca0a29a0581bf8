import { randomUUID } from 'node:crypto'
import { defaultRoles } from 'better-auth/plugins/organization/access'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, createOrganization, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { rolesIn } from './fixture.ts'
import { isRoleAllowed, type OrganizationAction, ROLES } from './state.ts'

let house: House
let ada: Actor
let bob: Actor
let eve: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  eve = await createActor(house, { name: 'Eve' })
})

afterAll(() => house.close())

const NOT_FOUND = { code: 'NOT_FOUND', reason: 'not_found' }
const ROLE_TOO_LOW = { code: 'FORBIDDEN', reason: 'role_too_low' }
const LAST_OWNER = { code: 'CONFLICT', reason: 'last_owner' }

describe('roles', () => {
  const permissionOf: Partial<
    Record<OrganizationAction, Parameters<typeof defaultRoles.owner.authorize>[0]>
  > = {
    update: { organization: ['update'] },
    remove: { organization: ['delete'] },
    updateRole: { member: ['update'] },
    removeMember: { member: ['delete'] },
    invite: { invitation: ['create'] },
    listInvitations: { invitation: ['create'] },
    cancelInvitation: { invitation: ['cancel'] },
  }

  it('allow the same as in Better Auth', () => {
    for (const role of ROLES) {
      for (const [action, permission] of Object.entries(permissionOf)) {
        const { success } = defaultRoles[role].authorize(permission)
        expect(isRoleAllowed(role, action as OrganizationAction), `${role}: ${action}`).toBe(success)
      }
    }
  })

  it('never let admins change owners', async () => {
    const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'admin' }, eve])
    const { members, invitations } = bob.caller().organizations
    const calls = [
      () => members.updateRole({ organizationId, userId: ada.userId, role: 'member' }),
      () => members.remove({ organizationId, userId: ada.userId }),
      () => members.updateRole({ organizationId, userId: eve.userId, role: 'owner' }),
      () => members.updateRole({ organizationId, userId: bob.userId, role: 'owner' }),
      () => invitations.create({ organizationId, email: 'an.heir@example.com', role: 'owner' }),
    ]
    for (const call of calls) expect(await refusalOf(call())).toMatchObject(ROLE_TOO_LOW)
    expect(await rolesIn(house, organizationId)).toEqual({
      [ada.userId]: 'owner',
      [bob.userId]: 'admin',
      [eve.userId]: 'member',
    })
    await members.updateRole({ organizationId, userId: eve.userId, role: 'admin' })
    await members.remove({ organizationId, userId: eve.userId })
    expect(await rolesIn(house, organizationId)).toEqual({ [ada.userId]: 'owner', [bob.userId]: 'admin' })
  })

  it('let members see each other’s name and image, and never the mail address', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const members = await bob.caller().organizations.members.list({ organizationId })
    expect(members).toEqual([
      { userId: ada.userId, name: 'Ada', image: null, role: 'owner' },
      { userId: bob.userId, name: 'Bob', image: null, role: 'member' },
    ])
    expect(await refusalOf(eve.caller().organizations.members.list({ organizationId }))).toMatchObject(
      NOT_FOUND,
    )
  })

  it('answer for a user who is not a member as for a missing one', async () => {
    const { id: organizationId } = await createOrganization(ada)
    const { members } = ada.caller().organizations
    for (const userId of [eve.userId, randomUUID()]) {
      expect(await refusalOf(members.remove({ organizationId, userId }))).toMatchObject(NOT_FOUND)
      expect(await refusalOf(members.updateRole({ organizationId, userId, role: 'admin' }))).toMatchObject(
        NOT_FOUND,
      )
    }
  })
})

describe('the last owner', () => {
  it('can neither leave, nor be demoted, nor be removed', async () => {
    const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'admin' }])
    const { organizations } = ada.caller()
    const member = { organizationId, userId: ada.userId }
    expect(await refusalOf(organizations.leave({ organizationId }))).toMatchObject(LAST_OWNER)
    expect(await refusalOf(organizations.members.remove(member))).toMatchObject(LAST_OWNER)
    expect(await refusalOf(organizations.members.updateRole({ ...member, role: 'member' }))).toMatchObject(
      LAST_OWNER,
    )
  })

  it('remains when two owners demote each other at once', async () => {
    for (let round = 0; round < 5; round++) {
      const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'owner' }])
      const lower = (by: Actor, whom: Actor) =>
        by.caller().organizations.members.updateRole({ organizationId, userId: whom.userId, role: 'member' })
      const attempts = await Promise.allSettled([lower(ada, bob), lower(bob, ada)])
      expect(attempts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      expect(Object.values(await rolesIn(house, organizationId)).sort()).toEqual(['member', 'owner'])
    }
  })

  it('remains when two owners demote themselves, or leave, at once', async () => {
    for (const call of ['lower', 'leave'] as const) {
      const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'owner' }])
      const attempts = [ada, bob].map(actor => {
        const { organizations } = actor.caller()
        if (call === 'leave') return organizations.leave({ organizationId })
        return organizations.members.updateRole({ organizationId, userId: actor.userId, role: 'admin' })
      })
      const [refused] = (await Promise.allSettled(attempts)).filter(({ status }) => status === 'rejected')
      expect(await refusalOf(Promise.reject((refused as PromiseRejectedResult).reason))).toMatchObject(
        LAST_OWNER,
      )
      expect(
        Object.values(await rolesIn(house, organizationId)).filter(role => role === 'owner'),
      ).toHaveLength(1)
    }
  })
})
