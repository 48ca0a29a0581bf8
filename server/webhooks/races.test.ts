import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { connect, readConnection, readEvents } from '#server/testing/webhooks.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'
import { processDueEvents } from './processor.ts'
import type { ConnectionEffect } from './provider.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

function receive(externalId: string, effect: ConnectionEffect | null): Promise<{ eventCount: number }> {
  return house.services.pools.system.receiveWebhook({
    provider: 'github',
    deliveryId: randomUUID(),
    bodyHash: randomBytes(32),
    eventType: 'installation',
    externalIds: [externalId],
    effect,
    headers: {},
    payload: {},
  })
}

function processDue(): Promise<number> {
  return processDueEvents({ system: house.services.pools.system, log: house.services.log })
}

it('a suspension does not affect a newer consent', async () => {
  const { id, externalId } = await connect(ada, 'github')
  await receive(externalId, 'suspend')
  // The change that a consent makes, after GitHub confirmed the installation.
  await house.owner.query(
    `update app.connections set connected_at = clock_timestamp(), settings = '{"isSuspended": false}' where id = $1`,
    [id],
  )
  await processDue()
  expect((await readEvents(house, id)).map(({ status }) => status)).toEqual(['processed'])
  expect((await readConnection(house, id)).settings).toEqual({ isSuspended: false })
})

it('no process waits for a locked event', async () => {
  const [held, free] = [await connect(ada, 'github'), await connect(ada, 'github')]
  for (const { externalId } of [held, free]) await receive(externalId, null)
  const statuses = async () =>
    (await Promise.all([held, free].map(({ id }) => readEvents(house, id)))).map(([event]) => event?.status)
  const holder = await house.owner.connect()
  try {
    await holder.query('begin')
    await holder.query('select from app.webhook_events where connection_id = $1 for update', [held.id])
    expect(await processDue()).toBe(1)
    expect(await statuses()).toEqual(['received', 'processed'])
    await holder.query('rollback')
  } finally {
    holder.release(true)
  }
  expect(await processDue()).toBe(1)
  expect(await statuses()).toEqual(['processed', 'processed'])
})

it('a connection that is removed during a delivery does not lose the event for others', async () => {
  const { id, externalId } = await connect(ada, 'github')
  const bob = await createActor(house, { name: 'Bob' })
  const theirs = await connect(bob, 'github', { externalId })
  const removal = ['delete from app.connections where id = $1', [id]] as const
  const received = await whileWaiting(house, { locked: removal }, () => receive(externalId, null))
  expect(received).toMatchObject({ eventCount: 1 })
  expect(await readEvents(house, theirs.id)).toHaveLength(1)
})
