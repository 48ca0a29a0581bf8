import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProviderName } from '#server/rooms/connections/schema.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { connect } from '#server/testing/webhooks.ts'
import type { ListEvents } from './schema.ts'
import { EVENT_STATUSES, type EventStatus } from './state.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

/** Inserts an event with this status. */
async function createEvent(
  actor: Actor,
  { status = 'dead' as EventStatus, provider = 'github' as ProviderName } = {},
): Promise<string> {
  const { id: connectionId } = await connect(actor, provider)
  const delivery = await oneOf(
    `insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload)
     values ($1, $2, sha256($2::text::bytea), 'push', '{}', '{"ref": "main"}') returning id`,
    [provider, randomUUID()],
  )
  const { id } = await oneOf(
    `insert into app.webhook_events
       (user_id, connection_id, delivery_id, provider, event_type, payload, status, attempts, next_attempt_at, last_error)
     values ($1, $2, $3, $4, 'push', '{"ref": "main"}', $5, 3, case when $5 in ('processed', 'dead') then null else now() end, 'it failed')
     returning id`,
    [actor.userId, connectionId, delivery.id, provider, status],
  )
  return id
}

async function oneOf(sql: string, values: unknown[]): Promise<{ id: string }> {
  const { rows } = await house.owner.query<{ id: string }>(sql, values)
  if (!rows[0]) throw new Error('no row')
  return rows[0]
}

describe('an event', () => {
  it('is returned with its payload, and listed without', async () => {
    const id = await createEvent(ada)
    const event = await ada.caller().events.get({ id })
    expect(event).toMatchObject({
      id,
      provider: 'github',
      eventType: 'push',
      status: 'dead',
      attempts: 3,
      lastError: 'it failed',
      nextAttemptAt: null,
      payload: { ref: 'main' },
    })
    const { payload: _, ...summary } = event
    expect((await ada.caller().events.list({ limit: 1 })).items).toEqual([summary])
  })

  it('is not found by a stranger, who cannot replay it', async () => {
    const id = await createEvent(ada)
    const { events } = bob.caller()
    const missing = await refusalOf(events.get({ id: randomUUID() }))
    expect(missing).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
    expect(await refusalOf(events.get({ id }))).toEqual(missing)
    expect(await refusalOf(events.replay({ id }))).toEqual(missing)
    expect(await events.list()).toEqual({ items: [], nextCursor: null })
    expect(await ada.caller().events.get({ id })).toMatchObject({ status: 'dead' })
  })

  it.each(['failed', 'dead'] as const)('that is %s is replayed with its attempts reset', async status => {
    const id = await createEvent(ada, { status })
    const replayed = await ada.caller().events.replay({ id })
    expect(replayed).toMatchObject({ id, status: 'received', attempts: 0, lastError: null })
    expect(replayed.nextAttemptAt).toBeInstanceOf(Date)
  })

  it.each(EVENT_STATUSES.filter(status => status !== 'failed' && status !== 'dead'))(
    'that is %s cannot be replayed',
    async status => {
      const id = await createEvent(ada, { status })
      const before = await ada.caller().events.get({ id })
      expect(await refusalOf(ada.caller().events.replay({ id }))).toEqual({
        code: 'CONFLICT',
        reason: 'illegal_transition',
        message: `cannot replay event "${id}": it is ${status}`,
      })
      expect(await ada.caller().events.get({ id })).toEqual(before)
    },
  )

  it('is replayed by one of many concurrent callers', async () => {
    const id = await createEvent(ada)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, () => ada.caller().events.replay({ id })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })
})

describe('the list of events', () => {
  it('is sorted newest first, paged, and filtered by provider and by status', async () => {
    const owner = await createActor(house)
    const ids: string[] = []
    for (let n = 0; n < 5; n++) {
      const kind = n % 2 ? { status: 'failed' as const, provider: 'slack' as const } : {}
      ids.unshift(await createEvent(owner, kind))
    }
    const { events } = owner.caller()
    const first = await events.list({ limit: 3 })
    const second = await events.list({ limit: 3, cursor: first.nextCursor ?? undefined })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids)
    expect(second.nextCursor).toBeNull()
    expect((await events.list({ provider: 'slack' })).items.map(({ id }) => id)).toEqual([ids[1], ids[3]])
    expect((await events.list({ status: 'failed', provider: 'slack' })).items).toHaveLength(2)
    expect((await events.list({ status: 'failed', provider: 'github' })).items).toEqual([])
  })

  it.each([
    ['an unknown provider', { provider: 'gitlab' }],
    ['an unknown status', { status: 'lost' }],
    ['an owner', { userId: randomUUID() }],
    ['an invalid cursor', { cursor: 'x' }],
    ['a page that is too large', { limit: 101 }],
  ])('rejects %s', async (_, input) => {
    expect(await refusalOf(ada.caller().events.list(input as ListEvents))).toMatchObject({
      code: 'BAD_REQUEST',
    })
  })
})

describe('a token', () => {
  it('with events:read can read, with events:write also replay, and with another scope neither', async () => {
    const id = await createEvent(ada)
    const reader = (await createApiToken(ada, { scopes: ['events:read'] })).caller().events
    expect(await reader.get({ id })).toMatchObject({ id })
    expect(await refusalOf(reader.replay({ id }))).toMatchObject({ reason: 'missing_scope' })
    const writer = (await createApiToken(ada, { scopes: ['events:write'] })).caller().events
    expect(await writer.replay({ id })).toMatchObject({ status: 'received' })
    const other = (await createApiToken(ada, { scopes: ['tasks:write'] })).caller().events
    expect(await refusalOf(other.get({ id }))).toMatchObject({ reason: 'missing_scope' })
    expect(await refusalOf(anonymous(house).events.get({ id }))).toMatchObject({ reason: 'unauthenticated' })
  })
})
