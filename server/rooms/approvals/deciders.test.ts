import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import { asked, createTeam, createWaitingCall, type Team } from './fixture.ts'

let house: House
let ada: Actor
let bob: Actor
let team: Team

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  team = await createTeam(house)
})
afterAll(() => house.close())

describe('without an organization', () => {
  it('the requester decides, only with a session', async () => {
    const token = await createApiToken(ada, { scopes: ['approvals:write'] })
    const { id } = await token.caller().approvals.request(asked)
    expect(await token.caller().approvals.get({ id })).toMatchObject({ requestedBy: { credential: 'token' } })
    expect(await reasonOf(token.caller().approvals.decide({ id, decision: 'approve' }))).toBe('missing_scope')
    expect(await ada.caller().approvals.decide({ id, decision: 'approve' })).toMatchObject({
      status: 'approved',
    })
  })

  it('a stranger can neither see nor decide, and gets not_found', async () => {
    const { id } = await ada.caller().approvals.request(asked)
    const { approvals } = bob.caller()
    const missing = await refusalOf(approvals.get({ id: randomUUID() }))
    expect(await refusalOf(approvals.get({ id }))).toEqual(missing)
    expect(await refusalOf(approvals.decide({ id, decision: 'approve' }))).toEqual(missing)
    expect(await refusalOf(approvals.cancel({ id }))).toEqual(missing)
    expect(await approvals.list()).toEqual({ items: [], nextCursor: null })
    expect(await reasonOf(anonymous(house).approvals.get({ id }))).toBe('unauthenticated')
  })
})

describe('in an organization', () => {
  it('members see requests, and owners and admins decide, with a session or a token', async () => {
    const { organizationId, owner, admin, member } = team
    const ask = async () => (await member.caller().approvals.request({ ...asked, organizationId })).id
    const colleague = await createActor(house)
    await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
      organizationId,
      colleague.userId,
    ])
    const id = await ask()
    expect(await colleague.caller().approvals.get({ id })).toMatchObject({ status: 'pending' })
    expect((await colleague.caller().approvals.list()).items.map(item => item.id)).toContain(id)
    const decision = { id, decision: 'approve' } as const
    expect(await reasonOf(colleague.caller().approvals.decide(decision))).toBe('role_too_low')
    expect(await reasonOf(member.caller().approvals.decide(decision))).toBe('role_too_low')
    expect(await reasonOf(admin.caller().approvals.cancel({ id }))).toBe('role_too_low')
    expect(await reasonOf(bob.caller().approvals.get({ id }))).toBe('not_found')
    expect(await admin.caller().approvals.decide(decision)).toMatchObject({ decidedBy: admin.userId })
    expect(await owner.caller().approvals.decide({ ...decision, id: await ask() })).toMatchObject({
      status: 'approved',
    })
    const token = await createApiToken(admin, { scopes: ['approvals:write'], organizationId })
    expect(await token.caller().approvals.decide({ ...decision, id: await ask() })).toMatchObject({
      status: 'approved',
    })
    const { id: elsewhere } = await createOrganization(admin)
    const bound = await createApiToken(admin, { scopes: ['approvals:write'], organizationId: elsewhere })
    expect(await reasonOf(bound.caller().approvals.decide({ ...decision, id: await ask() }))).toBe(
      'not_found',
    )
  })

  it('nobody decides their own request, unless the organization allows it, with a session', async () => {
    const { organizationId, owner, admin } = await createTeam(house)
    const { id } = await admin.caller().approvals.request({ ...asked, organizationId })
    expect(await reasonOf(admin.caller().approvals.decide({ id, decision: 'approve' }))).toBe('role_too_low')
    await owner.caller().organizations.update({ organizationId, allowSelfApproval: true })
    const token = await createApiToken(admin, { scopes: ['approvals:write'] })
    expect(await reasonOf(token.caller().approvals.decide({ id, decision: 'approve' }))).toBe('missing_scope')
    expect(await admin.caller().approvals.decide({ id, decision: 'approve' })).toMatchObject({
      status: 'approved',
    })
  })

  it('the organization is the given one, else the task’s, else the one in which the call acts', async () => {
    const { organizationId, member } = team
    const acting = member.caller({ 'x-organization-id': organizationId })
    expect(await acting.approvals.request(asked)).toMatchObject({ organizationId })
    expect(await member.caller().approvals.request(asked)).toMatchObject({ organizationId: null })
    const { id: taskId } = await member.caller().tasks.create({ prompt: 'x', organizationId })
    const call = await createWaitingCall(member, taskId)
    const { id: other } = await createOrganization(member)
    // A requester cannot choose another organization to decide about a shared task.
    const elsewhere = { ...asked, toolCallId: call.id, organizationId: other }
    expect(await reasonOf(member.caller().approvals.request(elsewhere))).toBe('invalid_input')
    const approval = await member.caller({ 'x-organization-id': other }).approvals.request({
      ...asked,
      toolCallId: call.id,
    })
    expect(approval).toMatchObject({ organizationId, taskId })
    expect(await reasonOf(bob.caller().approvals.request({ ...asked, organizationId }))).toBe('not_found')
  })

  it('removed or demoted admins cannot decide, and their requests stay in the organization', async () => {
    const { organizationId, owner, admin, member } = await createTeam(house)
    const { id } = await admin.caller().approvals.request({ ...asked, organizationId })
    const { id: others } = await member.caller().approvals.request({ ...asked, organizationId })
    const { members } = owner.caller().organizations
    await members.updateRole({ organizationId, userId: admin.userId, role: 'member' })
    expect(await reasonOf(admin.caller().approvals.decide({ id: others, decision: 'approve' }))).toBe(
      'role_too_low',
    )
    await members.remove({ organizationId, userId: admin.userId })
    expect(await reasonOf(admin.caller().approvals.get({ id: others }))).toBe('not_found')
    expect(await reasonOf(admin.caller().approvals.decide({ id, decision: 'approve' }))).toBe('role_too_low')
    expect(await owner.caller().approvals.decide({ id, decision: 'reject' })).toMatchObject({
      status: 'rejected',
    })
  })

  it('removing the organization hides its approvals, and restoring it restores them', async () => {
    const { organizationId, owner, member } = await createTeam(house)
    const { id } = await member.caller().approvals.request({ ...asked, organizationId })
    await owner.caller().organizations.remove({ organizationId })
    for (const actor of [owner, member]) {
      expect(await reasonOf(actor.caller().approvals.get({ id }))).toBe('not_found')
      expect(await reasonOf(actor.caller().approvals.decide({ id, decision: 'approve' }))).toBe('not_found')
    }
    await owner.caller().organizations.restore({ organizationId })
    expect(await owner.caller().approvals.decide({ id, decision: 'approve' })).toMatchObject({
      status: 'approved',
    })
  })
})
