import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  anonymous,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createClaimedTask, lapseLease, whileTaskChangesHands } from '#server/testing/claims.ts'
import { reasonOf } from '#server/testing/refusal.ts'
import { asked, createTeam, createWaitingCall } from './fixture.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

describe('a lease', () => {
  it('requests and reads approvals of its own task, as the owner, and cannot decide', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const { id: runId } = await worker.runs.start({ agent: 'claude' })
    const call = await worker.runs.toolCalls.start({
      runId,
      callId: 'c',
      tool: 'run_command',
      arguments: { command: [] },
    })
    const approval = await worker.approvals.request({ ...asked, toolCallId: call.id })
    expect(approval).toMatchObject({ taskId, requestedBy: { userId: owner.userId, credential: 'lease' } })
    expect(await worker.approvals.request(asked)).toMatchObject({ taskId, toolCall: null })
    const refused = [
      worker.approvals.decide({ id: approval.id, decision: 'approve' }),
      worker.approvals.cancel({ id: approval.id }),
      worker.approvals.list(),
    ]
    expect(new Set(await Promise.all(refused.map(reasonOf)))).toEqual(new Set(['missing_scope']))
    await owner.caller().approvals.decide({ id: approval.id, decision: 'approve' })
    expect(await worker.approvals.get({ id: approval.id })).toMatchObject({ status: 'approved' })
    expect(await worker.runs.toolCalls.finish({ id: call.id, status: 'succeeded' })).toMatchObject({
      status: 'succeeded',
    })
  })

  it('requests only from its task’s organization', async () => {
    const { organizationId, owner, admin } = await createTeam(house)
    const { id: taskId } = await admin.caller().tasks.create({ prompt: 'x', organizationId })
    const token = await createApiToken(admin, { scopes: ['tasks:work'] })
    const claim = await token.caller().tasks.claim({ worker: 'w' })
    const worker = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
    const approval = await worker.approvals.request(asked)
    expect(approval).toMatchObject({ organizationId, taskId })
    const { id: other } = await createOrganization(admin)
    expect(await reasonOf(worker.approvals.request({ ...asked, organizationId: other }))).toBe('not_found')
    const decision = { id: approval.id, decision: 'approve' } as const
    expect(await reasonOf(admin.caller().approvals.decide(decision))).toBe('role_too_low')
    expect(await owner.caller().approvals.decide(decision)).toMatchObject({ status: 'approved' })
  })

  it('cannot see its owner’s other approvals and calls', async () => {
    const { owner, worker } = await createClaimedTask(house)
    const { id } = await owner.caller().approvals.request(asked)
    const call = await createWaitingCall(owner)
    expect(await reasonOf(worker.approvals.get({ id }))).toBe('not_found')
    expect(await reasonOf(worker.approvals.request({ ...asked, toolCallId: call.id }))).toBe('not_found')
  })

  it('that was lost cannot request an approval, even if it waited on a lock', async () => {
    const { owner, id: taskId, worker } = await createClaimedTask(house)
    const late = whileTaskChangesHands(house, taskId, () => worker.approvals.request(asked))
    expect(await reasonOf(late)).toBe('lease_lost')
    await lapseLease(house, taskId)
    expect(await reasonOf(worker.approvals.request(asked))).toBe('lease_lost')
    expect((await owner.caller().approvals.list()).items).toEqual([])
  })
})
