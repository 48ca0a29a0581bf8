import { hash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import { asked, createTeam, createWaitingCall, lapse, statusOfCall, type Team } from './fixture.ts'
import type { RequestApproval } from './schema.ts'
import { expireApprovals } from './streams.ts'

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

describe('an approval', () => {
  it('is requested pending, bound to the hash of its payload', async () => {
    const expiresAt = new Date(Date.now() + 60_000)
    const approval = await ada.caller().approvals.request({ ...asked, priority: 'high', expiresAt })
    expect(approval).toMatchObject({
      ...asked,
      organizationId: null,
      taskId: null,
      toolCall: null,
      requestedBy: { userId: ada.userId, credential: 'session' },
      payloadHash: hash('sha256', '{"a":[true],"b":1}'),
      priority: 'high',
      status: 'pending',
      decidedBy: null,
      decidedAt: null,
      note: null,
      expiresAt,
    })
    expect(await ada.caller().approvals.get({ id: approval.id })).toEqual(approval)
  })

  it('of a tool call shows the call’s tool and arguments, and is bound to them', async () => {
    const call = await createWaitingCall(ada)
    const approval = await ada.caller().approvals.request({ ...asked, toolCallId: call.id })
    expect(approval).toMatchObject({
      toolCall: { id: call.id, tool: 'run_command', arguments: { command: ['rm', '-r', 'dist'] } },
      payloadHash: hash('sha256', '{"command":["rm","-r","dist"]}'),
    })
    // A second request returns the same approval.
    expect(await ada.caller().approvals.request({ ...asked, toolCallId: call.id })).toEqual(approval)
  })

  it.each(['approve', 'reject'] as const)('changes the status of its tool call: %s', async decision => {
    const call = await createWaitingCall(ada)
    const { approvals, runs } = ada.caller()
    const { id } = await approvals.request({ ...asked, toolCallId: call.id })
    const decided = await approvals.decide({ id, decision, note: 'because' })
    const isApproved = decision === 'approve'
    expect(decided).toMatchObject({
      status: isApproved ? 'approved' : 'rejected',
      decidedBy: ada.userId,
      decidedAt: expect.any(Date),
      note: 'because',
    })
    expect(await statusOfCall(house, call.id)).toEqual({
      status: isApproved ? 'running' : 'denied',
      error: isApproved ? null : 'the approval was rejected',
      hasStarted: isApproved,
      hasFinished: !isApproved,
    })
    const finish = runs.toolCalls.finish({ id: call.id, status: 'succeeded' })
    if (isApproved) expect(await finish).toMatchObject({ status: 'succeeded' })
    else expect(await reasonOf(finish)).toBe('illegal_transition')
    expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('already_decided')
  })

  it('is decided once by a hundred concurrent decisions, and its call changes once', async () => {
    const { organizationId, owner, admin, member } = team
    const call = await createWaitingCall(member)
    const { id } = await member.caller().approvals.request({ ...asked, toolCallId: call.id, organizationId })
    const before = await house.owner.query('select event_seq from app.approvals where id = $1', [id])
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        (n % 2 ? owner : admin)
          .caller()
          .approvals.decide({ id, decision: n % 3 ? 'approve' : 'reject' })
          .then(
            ({ status }) => status,
            async error => reasonOf(Promise.reject(error)),
          ),
      ),
    )
    const [won, ...others] = outcomes.filter(outcome => outcome !== 'already_decided')
    expect(others).toEqual([])
    expect(outcomes).toHaveLength(100)
    const { status } = await admin.caller().approvals.get({ id })
    expect(status).toBe(won)
    expect(await statusOfCall(house, call.id)).toMatchObject({
      status: won === 'approved' ? 'running' : 'denied',
    })
    const after = await house.owner.query('select event_seq from app.approvals where id = $1', [id])
    expect(after.rows[0].event_seq).toBe(before.rows[0].event_seq + 1)
  })

  it('is cancelled if its call’s arguments, or its payload, have changed', async () => {
    const { approvals } = ada.caller()
    for (const [change, values] of [
      [`update app.tool_calls set arguments = '{"command": ["rm", "-r", "/"]}' where id = $1`, 'call'],
      ['update app.tool_calls set arguments_hash = sha256($$other$$) where id = $1', 'call'],
      [`update app.approvals set arguments = '{"command": []}' where id = $1`, 'approval'],
    ] as const) {
      const call = await createWaitingCall(ada)
      const { id } = await approvals.request({ ...asked, toolCallId: call.id })
      await house.owner.query(change, [values === 'call' ? call.id : id])
      expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('payload_changed')
      expect(await approvals.get({ id })).toMatchObject({ status: 'cancelled', decidedBy: null })
      // The changed call does not run under the old approval, and a new one can be requested.
      expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'awaiting_approval' })
      expect((await approvals.request({ ...asked, toolCallId: call.id })).id).not.toBe(id)
    }
    const { id } = await approvals.request(asked)
    await house.owner.query(`update app.approvals set payload = '{"a": [false], "b": 1}' where id = $1`, [id])
    expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('payload_changed')
  })

  it('that has expired counts as rejected, whether it is swept or decided late', async () => {
    const { approvals } = ada.caller()
    for (const end of ['swept', 'decided']) {
      const call = await createWaitingCall(ada)
      const expiresAt = new Date(Date.now() + 60_000)
      const { id } = await approvals.request({ ...asked, toolCallId: call.id, expiresAt })
      await lapse(house, id)
      if (end === 'swept')
        await Promise.all([expireApprovals(house.services), expireApprovals(house.services)])
      const refusal = await refusalOf(approvals.decide({ id, decision: 'approve' }))
      expect(refusal).toMatchObject({ code: 'CONFLICT', reason: 'already_decided' })
      expect(await approvals.get({ id })).toMatchObject({ status: 'expired', decidedBy: null })
      expect(await statusOfCall(house, call.id)).toMatchObject({
        status: 'denied',
        error: 'the approval expired',
      })
    }
    const { id } = await approvals.request({ ...asked, expiresAt: new Date(Date.now() + 60_000) })
    await expireApprovals(house.services)
    expect(await approvals.get({ id })).toMatchObject({ status: 'pending' })
  })

  it('can be cancelled by its requester, and its call then waits for another', async () => {
    const { approvals } = ada.caller()
    const call = await createWaitingCall(ada)
    const { id } = await approvals.request({ ...asked, toolCallId: call.id })
    expect(await reasonOf(bob.caller().approvals.cancel({ id }))).toBe('not_found')
    expect(await approvals.cancel({ id })).toMatchObject({ status: 'cancelled', decidedBy: null })
    expect(await reasonOf(approvals.cancel({ id }))).toBe('already_decided')
    expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('already_decided')
    expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'awaiting_approval' })
    const again = await approvals.request({ ...asked, toolCallId: call.id })
    await approvals.decide({ id: again.id, decision: 'approve' })
    expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'running' })
  })

  it('cannot be requested for a call that awaits none, or for another user’s call', async () => {
    const { approvals, runs } = ada.caller()
    const { id: runId } = await runs.start({ agent: 'claude' })
    const running = await runs.toolCalls.start({ runId, callId: 'c', tool: 'read_file', arguments: {} })
    expect(await reasonOf(approvals.request({ ...asked, toolCallId: running.id }))).toBe('illegal_transition')
    const call = await createWaitingCall(ada)
    const missing = await refusalOf(bob.caller().approvals.request({ ...asked, toolCallId: randomUUID() }))
    expect(missing.reason).toBe('not_found')
    expect(await refusalOf(bob.caller().approvals.request({ ...asked, toolCallId: call.id }))).toEqual(
      missing,
    )
  })

  it.each([
    ['no kind', { kind: ' ' }],
    ['no title', { title: '' }],
    ['a missing payload', { payload: undefined }],
    ['a payload with NUL', { payload: { a: '\0' } }],
    ['an unknown priority', { priority: 'asap' }],
    ['an expiry in the past', { expiresAt: new Date(0) }],
    ['a status', { status: 'approved' }],
    ['a hash', { payloadHash: '00' }],
  ])('cannot be requested with %s', async (_, input) => {
    const reason = await reasonOf(ada.caller().approvals.request({ ...asked, ...input } as RequestApproval))
    expect(['BAD_REQUEST', 'invalid_input']).toContain(reason)
  })

  it('is hidden and restored with its task', async () => {
    const { approvals, tasks } = ada.caller()
    const { id: taskId } = await tasks.create({ prompt: 'x' })
    const call = await createWaitingCall(ada, taskId)
    const { id } = await approvals.request({ ...asked, toolCallId: call.id })
    await tasks.remove({ id: taskId })
    expect(await reasonOf(approvals.get({ id }))).toBe('not_found')
    expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('not_found')
    expect(await reasonOf(approvals.request({ ...asked, toolCallId: call.id }))).toBe('not_found')
    await tasks.restore({ id: taskId })
    expect(await approvals.get({ id })).toMatchObject({ status: 'pending', taskId })
  })
})

describe('the list', () => {
  it('is sorted by priority and then newest first, paged, and filtered by status', async () => {
    const actor = await createActor(house)
    const { approvals } = actor.caller()
    const ids: Record<string, string> = {}
    for (const [name, priority] of [
      ['a', 'low'],
      ['b', 'urgent'],
      ['c', 'normal'],
      ['d', 'urgent'],
      ['e', 'high'],
    ] as const) {
      ids[name] = (await approvals.request({ ...asked, priority })).id
    }
    const order = ['d', 'b', 'e', 'c', 'a'].map(name => ids[name])
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await approvals.list({ limit: 2, ...(cursor === undefined ? {} : { cursor }) })
      seen.push(...page.items.map(item => item.id))
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
    expect(seen).toEqual(order)
    await approvals.decide({ id: ids.b ?? '', decision: 'reject' })
    expect((await approvals.list({ status: 'rejected' })).items.map(item => item.id)).toEqual([ids.b])
    expect((await approvals.list({ status: 'pending' })).items).toHaveLength(4)
    expect(await reasonOf(approvals.list({ cursor: 'nonsense' }))).toBe('BAD_REQUEST')
  })
})
