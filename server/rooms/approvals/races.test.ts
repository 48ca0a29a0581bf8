import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createClaimedTask } from '#server/testing/claims.ts'
import { reasonOf } from '#server/testing/refusal.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'
import { asked, createTeam, createWaitingCall, lapse, statusOfCall, type Team } from './fixture.ts'
import { expireApprovals } from './streams.ts'

// Changes while a request or a decision waits on a lock.

let house: House
let ada: Actor
let team: Team

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
  team = await createTeam(house)
})
afterAll(() => house.close())

type Locked = 'auth.organizations' | 'app.tasks' | 'app.tool_calls' | 'app.approvals'
const lockOf = (table: Locked, id: string) => [`select from ${table} where id = $1 for update`, [id]] as const

async function stored(id: string): Promise<{ status: string; event_seq: number }> {
  const { rows } = await house.owner.query('select status, event_seq from app.approvals where id = $1', [id])
  return rows[0]
}

describe('a decision', () => {
  it('without a tool call is made once by many concurrent callers', async () => {
    const { organizationId, owner, admin, member } = team
    const { id } = await member.caller().approvals.request({ ...asked, organizationId })
    const before = await stored(id)
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, n) => {
        const { approvals } = (n % 2 ? owner : admin).caller()
        const call = approvals.decide({ id, decision: n % 3 ? 'approve' : 'reject' })
        return call.then(
          ({ status }) => status,
          async () => reasonOf(call),
        )
      }),
    )
    const won = outcomes.filter(outcome => outcome !== 'already_decided')
    expect(won).toHaveLength(1)
    expect(await stored(id)).toEqual({ status: won[0], event_seq: before.event_seq + 1 })
  })

  it('that waits on a lock sees an earlier decision', async () => {
    const { id } = await ada.caller().approvals.request(asked)
    const first = `update app.approvals set status = 'rejected', decided_at = now() where id = $1`
    const decision = await whileWaiting(
      house,
      { locked: lockOf('app.approvals', id), meanwhile: [[first, [id]]] },
      () => reasonOf(ada.caller().approvals.decide({ id, decision: 'approve' })),
    )
    expect(decision).toBe('already_decided')
    expect(await stored(id)).toMatchObject({ status: 'rejected' })
  })

  it('that waits is rejected if the admin is demoted or removed in the meantime', async () => {
    const { organizationId, admin, member } = await createTeam(house)
    const { id } = await member.caller().approvals.request({ ...asked, organizationId })
    const reasonAfter = (sql: string) =>
      whileWaiting(
        house,
        {
          locked: lockOf('auth.organizations', organizationId),
          meanwhile: [[sql, [organizationId, admin.userId]]],
        },
        () => reasonOf(admin.caller().approvals.decide({ id, decision: 'approve' })),
      )
    const where = 'where organization_id = $1 and user_id = $2'
    expect(await reasonAfter(`update auth.members set role = 'member' ${where}`)).toBe('role_too_low')
    expect(await reasonAfter(`delete from auth.members ${where}`)).toBe('not_found')
    expect(await stored(id)).toMatchObject({ status: 'pending' })
  })

  it('locks the tool call before the approval, and sees the changes of both', async () => {
    const call = await createWaitingCall(ada)
    const { approvals } = ada.caller()
    const { id } = await approvals.request({ ...asked, toolCallId: call.id })
    const decision = await whileWaiting(
      house,
      {
        locked: lockOf('app.tool_calls', call.id),
        // The approval must never be locked first: a transaction that locks the call and then the approval
        // would deadlock.
        meanwhile: [
          ['select from app.approvals where id = $1 for update nowait', [id]],
          ['update app.approvals set deletion_id = app.new_id() where id = $1', [id]],
        ],
      },
      () => reasonOf(approvals.decide({ id, decision: 'approve' })),
    )
    expect(decision).toBe('not_found')
    expect(await stored(id)).toMatchObject({ status: 'pending' })
    expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'awaiting_approval' })
  })

  it('is invalid if the call’s tool has changed', async () => {
    const call = await createWaitingCall(ada)
    const { approvals } = ada.caller()
    const { id } = await approvals.request({ ...asked, toolCallId: call.id })
    await house.owner.query(`update app.tool_calls set tool = 'write_file' where id = $1`, [call.id])
    expect(await reasonOf(approvals.decide({ id, decision: 'approve' }))).toBe('payload_changed')
    expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'awaiting_approval' })
  })

  it('is rejected for an admin without a required second factor, even for their own request', async () => {
    const { organizationId, admin, member } = await createTeam(house)
    const { id: own } = await admin.caller().approvals.request({ ...asked, organizationId })
    const { id: others } = await member.caller().approvals.request({ ...asked, organizationId })
    await house.owner.query(
      'update auth.organizations set require_two_factor = true, allow_self_approval = true where id = $1',
      [organizationId],
    )
    const decide = (id: string) => reasonOf(admin.caller().approvals.decide({ id, decision: 'approve' }))
    expect(await decide(own)).toBe('role_too_low')
    expect(await decide(others)).toBe('not_found')
    expect(await stored(own)).toMatchObject({ status: 'pending' })
  })
})

describe('an expiring approval', () => {
  it('that expires while its decision waits counts as rejected', async () => {
    const call = await createWaitingCall(ada)
    const { approvals } = ada.caller()
    const { id } = await approvals.request({
      ...asked,
      toolCallId: call.id,
      expiresAt: new Date(Date.now() + 60_000),
    })
    const reason = await whileWaiting(
      house,
      {
        locked: lockOf('app.tool_calls', call.id),
        // After the waiting statement started, and before it continues.
        meanwhile: [['update app.approvals set expires_at = clock_timestamp() where id = $1', [id]]],
      },
      () => reasonOf(approvals.decide({ id, decision: 'approve' })),
    )
    expect(reason).toBe('already_decided')
    expect(await stored(id)).toMatchObject({ status: 'expired' })
    expect(await statusOfCall(house, call.id)).toMatchObject({ status: 'denied' })
  })

  it('keeps a decision that came before its expiry', async () => {
    const call = await createWaitingCall(ada)
    const { id } = await ada.caller().approvals.request({ ...asked, toolCallId: call.id })
    await lapse(house, id)
    await whileWaiting(
      house,
      {
        locked: lockOf('app.tool_calls', call.id),
        meanwhile: [
          [`update app.approvals set status = 'rejected', decided_at = now() where id = $1`, [id]],
          [`update app.tool_calls set status = 'denied', finished_at = now() where id = $1`, [call.id]],
        ],
      },
      () => expireApprovals(house.services),
    )
    expect(await stored(id)).toMatchObject({ status: 'rejected' })
  })
})

describe('a request', () => {
  it('for one tool call creates one approval, even from many concurrent callers', async () => {
    const call = await createWaitingCall(ada)
    const made = await Promise.all(
      Array.from({ length: 20 }, () => ada.caller().approvals.request({ ...asked, toolCallId: call.id })),
    )
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
  })

  it('that waits is rejected if its tool call stopped waiting', async () => {
    const call = await createWaitingCall(ada)
    const end = `update app.tool_calls set status = 'denied', finished_at = now() where id = $1`
    const reason = await whileWaiting(
      house,
      { locked: lockOf('app.tool_calls', call.id), meanwhile: [[end, [call.id]]] },
      () => reasonOf(ada.caller().approvals.request({ ...asked, toolCallId: call.id })),
    )
    expect(reason).toBe('illegal_transition')
  })

  it('that waits is rejected if its organization or requester was removed in the meantime', async () => {
    for (const sql of [
      'delete from auth.members where organization_id = $1 and user_id = $2',
      `update auth.organizations set deleted_at = now(), deletion_id = $2 where id = $1`,
    ]) {
      const { organizationId, member } = await createTeam(house)
      const reason = await whileWaiting(
        house,
        {
          locked: lockOf('auth.organizations', organizationId),
          meanwhile: [[sql, [organizationId, sql.startsWith('delete') ? member.userId : randomUUID()]]],
        },
        () => reasonOf(member.caller().approvals.request({ ...asked, organizationId })),
      )
      expect(reason).toBe('not_found')
    }
  })

  it('that waits is rejected if its task was removed in the meantime', async () => {
    const { owner, id: taskId } = await createClaimedTask(house)
    const call = await createWaitingCall(owner, taskId)
    const reason = await whileWaiting(
      house,
      {
        locked: lockOf('app.tasks', taskId),
        meanwhile: [
          ['update app.tasks set deleted_at = now(), deletion_id = app.new_id() where id = $1', [taskId]],
        ],
      },
      () => reasonOf(owner.caller().approvals.request({ ...asked, toolCallId: call.id })),
    )
    expect(reason).toBe('not_found')
    const { rows } = await house.owner.query('select from app.approvals where tool_call_id = $1', [call.id])
    expect(rows).toEqual([])
  })

  it('is rejected if its credential is not valid in the organization', async () => {
    const { organizationId, member, owner } = await createTeam(house)
    const { id: elsewhere } = await createOrganization(member)
    const bound = await createApiToken(member, { scopes: ['approvals:write'], organizationId: elsewhere })
    const request = (actor: Pick<Actor, 'caller'>) =>
      reasonOf(actor.caller().approvals.request({ ...asked, organizationId }))
    expect(await request(bound)).toBe('not_found')
    await house.owner.query('update auth.organizations set require_two_factor = true where id = $1', [
      organizationId,
    ])
    expect(await request(owner)).toBe('not_found')
  })
})
