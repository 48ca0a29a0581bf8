import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Caller } from '#server/rpc/caller.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { tokenCredential } from '#server/testing/isolation/dataset.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'

// Changes while a call waits on the organization's lock.

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

const lockOf = (id: string) => ['select from auth.organizations where id = $1 for update', [id]] as const

async function membersOf(organizationId: string): Promise<Record<string, string>> {
  const { rows } = await house.owner.query<{ user_id: string; role: string }>(
    'select user_id, role from auth.members where organization_id = $1',
    [organizationId],
  )
  return Object.fromEntries(rows.map(row => [row.user_id, row.role]))
}

type Call = (organizations: Caller['organizations'], organizationId: string) => Promise<unknown>

it.for<[string, Call]>([
  [
    'changes a role',
    ({ members }, organizationId) =>
      members.updateRole({ organizationId, userId: eve.userId, role: 'admin' }),
  ],
  [
    'removes a member',
    ({ members }, organizationId) => members.remove({ organizationId, userId: eve.userId }),
  ],
  ['changes the organization', ({ update }, organizationId) => update({ organizationId, name: 'Bob’s' })],
  [
    'invites',
    ({ invitations }, organizationId) =>
      invitations.create({ organizationId, email: 'a@example.com', role: 'admin' }),
  ],
])('an admin who is demoted while waiting on the lock no longer %s', async ([, call]) => {
  const { id } = await createOrganization(ada, [{ actor: bob, role: 'admin' }, eve])
  const refusal = await whileWaiting(
    house,
    {
      locked: lockOf(id),
      meanwhile: [
        [
          `update auth.members set role = 'member' where organization_id = $1 and user_id = $2`,
          [id, bob.userId],
        ],
      ],
    },
    () => refusalOf(call(bob.caller().organizations, id)),
  )
  expect(refusal).toMatchObject({ reason: 'role_too_low' })
  expect(await membersOf(id)).toEqual({
    [ada.userId]: 'owner',
    [bob.userId]: 'member',
    [eve.userId]: 'member',
  })
})

it.for(['accept', 'decline'] as const)(
  'an invitation into a removed organization is not found: %s',
  async answer => {
    const { id: organizationId } = await createOrganization(ada)
    const id = await createInvitation(ada, { organizationId, email: bob.email })
    const refused = () => refusalOf(bob.caller().organizations.invitations[answer]({ id }))
    const removal =
      'update auth.organizations set deleted_at = now(), deletion_id = $2 where id = $1 and deleted_at is null'
    const meanwhile = [[removal, [organizationId, randomUUID()]]] as const
    expect(await whileWaiting(house, { locked: lockOf(organizationId), meanwhile }, refused)).toMatchObject({
      reason: 'not_found',
    })
    expect(await refused()).toMatchObject({ reason: 'not_found' })
    expect(await membersOf(organizationId)).toEqual({ [ada.userId]: 'owner' })
    const { rows } = await house.owner.query('select status from auth.invitations where id = $1', [id])
    expect(rows).toEqual([{ status: 'pending' }])
  },
)

it('nobody can leave an organization that was removed in the meantime', async () => {
  const { id: organizationId } = await createOrganization(ada, [bob])
  const refusal = await whileWaiting(
    house,
    {
      locked: lockOf(organizationId),
      meanwhile: [
        [
          'update auth.organizations set deleted_at = now(), deletion_id = $2 where id = $1',
          [organizationId, randomUUID()],
        ],
      ],
    },
    () => refusalOf(bob.caller().organizations.leave({ organizationId })),
  )
  expect(refusal).toMatchObject({ reason: 'not_found' })
  await ada.caller().organizations.restore({ organizationId })
  expect(await membersOf(organizationId)).toEqual({ [ada.userId]: 'owner', [bob.userId]: 'member' })
})

it('removing an owner through Better Auth waits on the lock, and sees the other owner leave', async () => {
  const { id } = await createOrganization(ada, [{ actor: bob, role: 'owner' }])
  const leave = 'delete from auth.members where organization_id = $1 and user_id = $2'
  const late = whileWaiting(house, { locked: lockOf(id), meanwhile: [[leave, [id, ada.userId]]] }, () =>
    house.owner.query(leave, [id, bob.userId]),
  )
  await expect(late).rejects.toMatchObject({ constraint: 'members_last_owner_check' })
  expect(await membersOf(id)).toEqual({ [bob.userId]: 'owner' })
})

it('a token bound to an organization fails in the next statement after its removal', async () => {
  const { id: organizationId } = await createOrganization(ada)
  const token = await createApiToken(ada, { scopes: ['tasks:work', 'tasks:write'], organizationId })
  const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
  const claim = await token.caller().tasks.claim({ worker: 'w', leaseSeconds: 60 })
  expect(claim?.task.id).toBe(taskId)
  const worker = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
  const db = scopedDatabase(house.services.pools.api, scopeOf(ada, { credential: tokenCredential(token) }))
  const readTask = (from: Database) =>
    from.selectFrom('app.tasks').select('id').where('id', '=', taskId).execute()
  await db.transaction().execute(async transaction => {
    expect(await readTask(transaction)).toHaveLength(1)
    await ada.caller().organizations.remove({ organizationId })
    expect(await readTask(transaction)).toEqual([])
  })
  const append = worker.tasks.logs.append({ taskId, entries: [{ type: 'info', message: 'late' }] })
  expect(await refusalOf(append)).toMatchObject({ reason: 'lease_lost' })
})
