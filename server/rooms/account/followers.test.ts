import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { addTasks, eraseEverything, openErasures } from './erasure-fixture.ts'

// What ends at once even if more rows depend on it than one statement can change in time: memberships,
// connections, sessions and tokens.

let house: House
let ada: Actor
let bob: Actor
let organizationId: string

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
  bob = await createActor(house, { name: 'Bob' })
  organizationId = (await createOrganization(bob, [ada])).id
})
afterAll(() => house.close())

async function countShared(): Promise<number> {
  const { rows } = await house.owner.query(
    'select count(*)::int as count from app.tasks where organization_id = $1',
    [organizationId],
  )
  return rows[0].count
}

it.each([
  ['leaves', () => ada.caller().organizations.leave({ organizationId })],
  ['is removed', () => bob.caller().organizations.members.remove({ organizationId, userId: ada.userId })],
])('a member with many shared tasks %s at once, and her tasks become private', async (_how, end) => {
  await addTasks(ada, { tasks: 3_000, organizationId })
  const token = await createApiToken(ada, { scopes: ['tasks:read'], organizationId })
  await end()
  expect(await refusalOf(ada.caller({ 'x-organization-id': organizationId }).account.me())).toMatchObject({
    reason: 'not_a_member',
  })
  expect(await refusalOf(token.caller().account.me())).toMatchObject({
    code: expect.stringMatching(/FORBIDDEN|UNAUTHORIZED/),
  })
  expect(await countShared()).toBeGreaterThan(0)
  await eraseEverything(house)
  expect(await countShared()).toBe(0)
  expect((await ada.caller().tasks.list({ limit: 1 })).items[0]).toMatchObject({ organizationId: null })
})

it('a member who rejoins keeps sharing what they share from then on', async () => {
  await addTasks(ada, { tasks: 3_000, organizationId })
  await ada.caller().organizations.leave({ organizationId })
  await house.owner.query('insert into auth.members (organization_id, user_id) values ($1, $2)', [
    organizationId,
    ada.userId,
  ])
  const { id } = await ada.caller().tasks.create({ prompt: 'shared anew', organizationId })
  await eraseEverything(house)
  expect(await countShared()).toBe(1)
  expect(await ada.caller().tasks.get({ id })).toMatchObject({ organizationId })
})

it('a member who is leaving cannot share with the organization', async () => {
  const create = () => ada.caller().tasks.create({ prompt: 'x', organizationId })
  await Promise.allSettled([
    ...Array.from({ length: 5 }, create),
    ada.caller().organizations.leave({ organizationId }),
    ...Array.from({ length: 5 }, create),
  ])
  await eraseEverything(house)
  expect(await countShared()).toBe(0)
  expect(await refusalOf(create())).toMatchObject({ reason: 'not_a_member' })
})

it('a connection with many events is removed at once, and its events with it', async () => {
  const connect = async () => {
    const { rows } = await house.owner.query(
      `insert into app.connections (user_id, provider, external_id, name) values ($1, 'linear', 'team-1', 'x') returning id`,
      [ada.userId],
    )
    return rows[0].id
  }
  const deliver = async (connectionId: string, count: number) => {
    await house.owner.query(
      `with delivered as (
         insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload)
         select 'linear', $3::text || n, sha256(($3::text || n)::bytea), 'Issue', '{}', '{}' from generate_series(1, $4::int) n returning id
       )
       insert into app.webhook_events (user_id, connection_id, delivery_id, provider, event_type, payload, status, next_attempt_at)
       select $1, $2, id, 'linear', 'Issue', '{}', 'processed', null from delivered`,
      [ada.userId, connectionId, randomUUID(), count],
    )
  }
  const removed = await connect()
  await deliver(removed, 3_000)
  const [event] = (await ada.caller().events.list({ limit: 1 })).items
  await ada.caller().connections.disconnect({ id: removed })
  expect(await openErasures(house)).toBe(1)
  expect(await ada.caller().connections.list()).toEqual([])
  expect((await ada.caller().events.list({})).items).toEqual([])
  for (const call of [ada.caller().events.get, ada.caller().events.replay]) {
    expect(await refusalOf(call({ id: event?.id ?? '' }))).toMatchObject({ reason: 'not_found' })
  }
  // The same account may be connected again in the meantime.
  const again = await connect()
  await deliver(again, 2)
  await eraseEverything(house)
  const { rows } = await house.owner.query(
    'select connection_id, count(*)::int as count from app.webhook_events where user_id = $1 group by 1',
    [ada.userId],
  )
  expect(rows).toEqual([{ connection_id: again, count: 2 }])
})

it('a session that claimed many tasks ends at once, and so do its leases', async () => {
  const worker = await startSession(ada)
  await addTasks(ada, { tasks: 3_000 })
  const claim = await worker.caller().tasks.claim({ worker: 'w' })
  await house.owner.query(
    `insert into app.task_leases (user_id, task_id, credential_hash, worker, session_id, lease_seconds, expires_at, ended_at)
     select user_id, id, sha256(id::text::bytea), 'w', $2, 60, now() + interval '1 minute', case when id <> $3 then now() end
     from app.tasks where user_id = $1 and id <> $3`,
    [ada.userId, worker.sessionId, claim?.task.id],
  )
  const lease = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
  await lease.tasks.heartbeat()
  await ada.caller().account.revokeSession({ id: worker.sessionId })
  expect(await refusalOf(lease.tasks.heartbeat())).toMatchObject({ reason: 'lease_lost' })
  expect(await ada.caller().tasks.claim({ worker: 'another' })).toMatchObject({
    task: { id: claim?.task.id },
  })
})
