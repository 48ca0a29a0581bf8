import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { sessionCredential } from '#server/testing/isolation/dataset.ts'
import { connect } from '#server/testing/webhooks.ts'
import { EVENT_STATUSES, EVENT_TRANSITIONS, type EventStatus } from './state.ts'

// SQL as the API's login, with a user's own session: the database rejects what no procedure would do.

let house: House
let api: pg.Client
let ada: Actor
let connectionId: string

beforeAll(async () => {
  house = await openHouse()
  api = new pg.Client(toPgConfig(house.database.directUrls.api))
  await api.connect()
  ada = await createActor(house, { name: 'Ada' })
  connectionId = (await connect(ada, 'github')).id
})
afterAll(async () => {
  await api.end()
  await house.close()
})

async function createEvent(status: EventStatus): Promise<string> {
  const { rows } = await house.owner.query<{ id: string }>(
    `with delivery as (
       insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload)
       values ('github', gen_random_uuid()::text, uuid_send(gen_random_uuid()), 'push', '{}', '{}') returning id
     )
     insert into app.webhook_events
       (user_id, connection_id, delivery_id, provider, event_type, payload, status, attempts, next_attempt_at)
     select $1, $2, id, 'github', 'push', '{}', $3, 3, case when $3 in ('processed', 'dead') then null else now() end
     from delivery returning id`,
    [ada.userId, connectionId, status],
  )
  return rows[0]?.id ?? ''
}

/** How many events changed, or the constraint or SQLSTATE of the error. */
async function run(sql: string, values: unknown[]): Promise<unknown> {
  await api.query('begin')
  try {
    await api.query(`select set_config('app.credential', $1, true)`, [sessionCredential(ada)])
    const { rowCount } = await api.query(sql, values)
    await api.query('commit')
    return rowCount
  } catch (error) {
    await api.query('rollback')
    if (error instanceof pg.DatabaseError) return error.constraint ?? error.code
    throw error
  }
}

const { from: replayable, to: replayed } = EVENT_TRANSITIONS.replay
const moves = EVENT_STATUSES.flatMap(from =>
  EVENT_STATUSES.filter(to => to !== from).map(to => ({ from, to })),
)

describe('as the API’s login', () => {
  test.for(moves)('an event can change from $from to $to only as a replay', async ({ from, to }) => {
    const id = await createEvent(from)
    const isReplay = to === replayed && replayable.some(status => status === from)
    const answer = await run('update app.webhook_events set status = $2 where id = $1', [id, to])
    expect(answer).toBe(isReplay ? 1 : 'webhook_events_transition_check')
    const { rows } = await house.owner.query(
      'select status, attempts from app.webhook_events where id = $1',
      [id],
    )
    expect(rows).toEqual([isReplay ? { status: to, attempts: 0 } : { status: from, attempts: 3 }])
  })

  test.for(['payload', 'effect', 'attempts', 'next_attempt_at', 'connection_id'])(
    'the %s of an event cannot be changed',
    async column => {
      const id = await createEvent('failed')
      const sql = `update app.webhook_events set ${column} = ${column} where id = $1`
      expect(await run(sql, [id])).toBe('42501')
    },
  )

  test('an event can be neither created nor deleted', async () => {
    const id = await createEvent('failed')
    expect(await run('delete from app.webhook_events where id = $1', [id])).toBe('42501')
    const copy = `insert into app.webhook_events (connection_id, delivery_id, provider, event_type, payload)
      select connection_id, delivery_id, provider, event_type, payload from app.webhook_events where id = $1`
    expect(await run(copy, [id])).toBe('42501')
  })
})
