import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import {
  connect,
  endOf,
  eventOf,
  installationEvent,
  readConnection,
  readDeliveries,
  readEvents,
  sign,
  slackEvent,
} from '#server/testing/webhooks.ts'
import { processingOf } from './processing-fixture.ts'
import { createProcessor, MAX_ATTEMPTS, retryAfterMs } from './processor.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

const { receive, processor, processAll, passTime, eventFor } = processingOf(() => house)

/** Locks all connections until `use` returns. */
async function withLockedConnections(use: () => Promise<void>): Promise<void> {
  await house.owner.query(`
    create function app.refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin raise exception 'no change today: canary-of-the-cause'; end $$;
    create trigger connections_refuse_change before update on app.connections
      for each row execute function app.refuse_change()`)
  try {
    await use()
  } finally {
    await house.owner.query(
      'drop trigger connections_refuse_change on app.connections; drop function app.refuse_change()',
    )
  }
}

describe('an event that fails', () => {
  it('is retried with growing delays, and is dead after the last attempt; a replay starts again', async () => {
    const { id, externalId } = await connect(ada, 'github')
    const { events } = ada.caller()
    await receive('github', installationEvent(externalId, 'deleted'))
    await withLockedConnections(async () => {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        await processAll()
        const event = await eventFor(id)
        const isLast = attempt === MAX_ATTEMPTS
        expect(event).toMatchObject({ attempts: attempt, status: isLast ? 'dead' : 'failed' })
        expect(event.last_error).toBe('processing failed; the cause has been logged')
        if (isLast) expect(event.next_attempt_at).toBeNull()
        else
          expect((event.next_attempt_at as Date).getTime()).toBeGreaterThan(
            (event.updated_at as Date).getTime(),
          )
        // No attempt is due before its time.
        await processAll()
        expect((await eventFor(id)).attempts).toBe(attempt)
        await passTime()
      }
    })
    expect((await readConnection(house, id)).status).toBe('active')

    const { id: eventId } = await eventFor(id)
    const replayed = await events.replay({ id: String(eventId) })
    expect(replayed).toMatchObject({ status: 'received', attempts: 0, lastError: null })
    await processAll()
    expect(await eventFor(id)).toMatchObject({ status: 'processed', attempts: 1, last_error: null })
    expect((await readConnection(house, id)).status).toBe('revoked')
  })

  it('delays no other event', async () => {
    const [bad, good] = [await connect(ada, 'linear'), await connect(ada, 'linear')]
    await receive('linear', endOf('linear', bad.externalId))
    await receive('linear', eventOf('linear', good.externalId))
    await withLockedConnections(processAll)
    expect((await eventFor(bad.id)).status).toBe('failed')
    expect((await eventFor(good.id)).status).toBe('processed')
    await passTime()
    await processAll()
  })

  it('waits about twice as long after every attempt, and at most a quarter of an hour', () => {
    const longest = Array.from({ length: MAX_ATTEMPTS - 1 }, (_, index) => retryAfterMs(index + 1, () => 0))
    expect(longest).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512].map(seconds => seconds * 1_000))
    expect(retryAfterMs(3, () => 1)).toBe(4_000)
    expect(retryAfterMs(MAX_ATTEMPTS)).toBeNull()
  })
})

describe('a claim', () => {
  const claim = async () => (await house.services.pools.system.claimWebhookEvents(50, 60, MAX_ATTEMPTS))[0]

  it('belongs to one process until it expires; then to another, and the first one’s effect is refused', async () => {
    const { id, externalId } = await connect(ada, 'slack')
    await receive('slack', sign('slack', JSON.stringify(slackEvent(externalId, { type: 'app_uninstalled' }))))
    const stale = await claim()
    expect(stale?.attempt).toBe(1)
    expect(await claim()).toBeUndefined()
    await passTime()
    const fresh = await claim()
    expect(fresh).toEqual({ ...stale, attempt: 2 })
    if (!stale || !fresh) throw new Error('nothing was claimed')
    const { system } = house.services.pools
    expect(await system.processWebhookEvent(stale)).toBe(false)
    await system.failWebhookEvent(stale, 'too late', 1_000)
    expect(await eventFor(id)).toMatchObject({ status: 'processing', attempts: 2, last_error: null })
    expect(await system.processWebhookEvent(fresh)).toBe(true)
    expect(await system.processWebhookEvent(fresh)).toBe(false)
    expect(await readConnection(house, id)).toMatchObject({ status: 'revoked', token_version: 1 })
  })

  it('that no process finishes is dead after the last attempt', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    await receive('linear', eventOf('linear', externalId))
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      expect((await claim())?.attempt).toBe(attempt)
      await passTime()
    }
    expect(await claim()).toBeUndefined()
    expect(await eventFor(id)).toMatchObject({ status: 'dead', next_attempt_at: null })
  })
})

describe('a processor', () => {
  it('finds events that others received, without being woken', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    const running = createProcessor(processor())
    running.wake()
    await receive('linear', eventOf('linear', externalId))
    await expect.poll(async () => (await eventFor(id)).status, { timeout: 10_000 }).toBe('processed')
    await running.stop()
    await running.stop()
  })

  it('processes more than one batch when woken, and stops after its claimed events', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    await Promise.all(Array.from({ length: 120 }, () => receive('linear', eventOf('linear', externalId))))
    const running = createProcessor(processor())
    running.wake()
    await running.stop()
    const statuses = (await readEvents(house, id)).map(({ status }) => status)
    expect(statuses.filter(status => status === 'processed')).toHaveLength(50)
    expect(statuses.filter(status => status === 'received')).toHaveLength(70)
    running.wake()
    expect((await readEvents(house, id)).filter(({ status }) => status === 'received')).toHaveLength(70)
    await processAll()
  })
})

describe('sweeping', () => {
  it('deletes old deliveries with their events, but none with unfinished events', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    const marks = [randomUUID(), randomUUID(), randomUUID()]
    for (const mark of marks) await receive('linear', eventOf('linear', externalId, { mark }))
    await processAll()
    const [old = '', waiting = '', recent = ''] = marks
    const age = async (mark: string) =>
      house.owner.query(
        `update app.webhook_deliveries set received_at = now() - interval '31 days' where strpos(payload::text, $1) > 0`,
        [mark],
      )
    await age(old)
    await age(waiting)
    await house.owner.query(
      `update app.webhook_events set status = 'failed', next_attempt_at = now() + interval '1 hour'
       where strpos(payload::text, $1) > 0`,
      [waiting],
    )
    await house.services.pools.system.sweep('webhooks')
    const counts = await Promise.all(marks.map(async mark => (await readDeliveries(house, mark)).length))
    expect(counts).toEqual([0, 1, 1])
    expect(await readEvents(house, id)).toHaveLength(2)
    expect(recent).not.toBe('')
  })
})
