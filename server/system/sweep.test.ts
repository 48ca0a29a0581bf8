import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { MessageEvent } from '#server/rooms/tasks/streams.ts'
import { type Actor, createActor, type House, openHouse, startSession } from '#server/testing/actors.ts'
import { sweep } from './sweep.ts'

let house: House
let ada: Actor
beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(() => house.close())

const sql = (text: string, values: unknown[] = []) => house.owner.query(text, values)
const idsOf = async (table: string) =>
  (await sql(`select id from ${table} where user_id = $1 order by id`, [ada.userId])).rows.map(row => row.id)

describe('after a sweep, signing in leaves', () => {
  it('no session that expired more than a day ago', async () => {
    const sessions = await Promise.all(['25 hours', '23 hours', '-1 minute'].map(() => startSession(ada)))
    for (const [index, ago] of ['25 hours', '23 hours', '-1 minute'].entries()) {
      await sql('update auth.sessions set expires_at = now() - $2::interval where id = $1', [
        sessions[index]?.sessionId,
        ago,
      ])
    }
    await sweep(house.services)
    const left = [sessions[1]?.sessionId, sessions[2]?.sessionId, ada.sessionId]
    expect(await idsOf('auth.sessions')).toEqual(left.sort())
    await expect(ada.caller().account.me()).resolves.toMatchObject({ credential: 'session' })
  })

  it('no lease that such a session claimed', async () => {
    const worker = await startSession(ada)
    const { id } = await ada.caller().tasks.create({ prompt: 'x' })
    await worker.caller().tasks.claim({ worker: 'w' })
    await sql(`update auth.sessions set expires_at = now() - interval '2 days' where id = $1`, [
      worker.sessionId,
    ])
    await sweep(house.services)
    expect(await ada.caller().tasks.claim({ worker: 'another' })).toMatchObject({ task: { id } })
  })

  it('no expired trusted device, and no abandoned verification', async () => {
    const trust = (ago: string) =>
      sql(
        `insert into auth.trusted_devices (user_id, token_hash, expires_at) values ($1, $2, now() - $3::interval)
         returning id`,
        [ada.userId, randomBytes(32), ago],
      ).then(({ rows }) => rows[0].id)
    const verify = (ago: string) =>
      sql(
        `insert into auth.verifications (identifier, value, expires_at) values ($1, 'x', now() - $2::interval)
         returning id`,
        [ada.userId, ago],
      ).then(({ rows }) => rows[0].id)
    await trust('25 hours')
    await verify('25 hours')
    const left = [await trust('-30 days'), await verify('23 hours')]
    await sweep(house.services)
    expect(await idsOf('auth.trusted_devices')).toEqual([left[0]])
    const { rows } = await sql('select id from auth.verifications where identifier = $1', [ada.userId])
    expect(rows.map(row => row.id)).toEqual([left[1]])
  })

  it('nothing, even if there is more than one batch, and others sweep too', async () => {
    await sql(
      `insert into auth.sessions (user_id, token, expires_at)
       select $1::uuid, encode(sha256(($1::uuid::text || n)::bytea), 'hex'), now() - interval '2 days' from generate_series(1, 2500) n`,
      [ada.userId],
    )
    await Promise.all([sweep(house.services), sweep(house.services), sweep(house.services)])
    expect(await idsOf('auth.sessions')).toEqual([ada.sessionId])
  })
})

describe('the deltas of a message', () => {
  /** Creates a task with two agents' messages of many deltas, and one of the user's. */
  async function conversation() {
    const { tasks } = ada.caller()
    const { id: taskId } = await tasks.create({ prompt: 'x' })
    const ids: string[] = []
    await tasks.messages.send({ taskId, content: 'Go' })
    for (const parts of [
      ['One ', '🧵', ' two ', 'three'],
      ['Four ', 'five'],
    ]) {
      const { id } = await tasks.messages.start({ taskId })
      let offset = 0
      for (const delta of parts) offset = (await tasks.messages.append({ id, offset, delta })).length
      ids.push(id)
    }
    const [first = '', second = ''] = ids
    return { taskId, first, second, messages: tasks.messages }
  }

  /** Makes all of a task's messages this many days old. */
  async function age(taskId: string, days: number): Promise<void> {
    await sql('alter table app.task_messages disable trigger task_messages_touch_updated_at')
    await sql(
      'update app.task_messages set updated_at = now() - make_interval(days => $2) where task_id = $1',
      [taskId, days],
    )
    await sql('alter table app.task_messages enable trigger task_messages_touch_updated_at')
    await sql('update app.task_events set at = now() - make_interval(days => $2) where task_id = $1', [
      taskId,
      days,
    ])
  }

  async function deltasOf(id: string): Promise<[number, string][]> {
    const { rows } = await sql(
      'select "offset", text from app.task_message_deltas where message_id = $1 order by "offset"',
      [id],
    )
    return rows.map(({ offset, text }) => [offset, text])
  }

  /** Reads the stream of an ended task to its end; returns the events' ids and main fields. */
  async function replay(taskId: string, lastEventId?: string): Promise<unknown[]> {
    const stream = await ada
      .caller()
      .tasks.messages.stream({ taskId, ...(lastEventId ? { lastEventId } : {}) })
    const seen: unknown[] = []
    for await (const tracked of stream) {
      const [id, event] = tracked as unknown as [string, MessageEvent]
      if (event.kind === 'message') seen.push([id, event.message.role, event.message.content])
      else if (event.kind === 'delta') seen.push([id, event.offset, event.delta])
      else seen.push([id, 'finished', event.content])
    }
    return seen
  }

  it('are folded into one a week after it was finished, and its readers receive the same text', async () => {
    const { taskId, first, second, messages } = await conversation()
    await messages.finish({ id: first })
    await messages.finish({ id: second })
    await ada.caller().tasks.stop({ id: taskId })
    await age(taskId, 6)
    await sweep(house.services)
    expect(await deltasOf(first)).toHaveLength(4)
    await age(taskId, 8)
    await sweep(house.services)
    expect(await deltasOf(first)).toEqual([[0, 'One 🧵 two three']])
    expect(await deltasOf(second)).toEqual([[0, 'Four five']])
    const after = [
      ['6', 0, 'One 🧵 two three'],
      ['7', 'agent', ''],
      ['9', 0, 'Four five'],
      ['10', 'finished', 'One 🧵 two three'],
      ['11', 'finished', 'Four five'],
    ]
    expect(await replay(taskId)).toEqual([['1', 'user', 'Go'], ['2', 'agent', ''], ...after])
    expect(await replay(taskId, '4')).toEqual(after)
    expect(await replay(taskId, '8')).toEqual(after.slice(2))
    expect((await messages.list({ taskId })).items.map(({ content }) => content)).toEqual([
      'Go',
      'One 🧵 two three',
      'Four five',
    ])
    await sweep(house.services)
    expect(await replay(taskId)).toHaveLength(7)
  })

  it('are kept while it is being written', async () => {
    const { taskId, first, second, messages } = await conversation()
    await messages.finish({ id: second })
    await age(taskId, 400)
    await sweep(house.services)
    expect(await deltasOf(first)).toHaveLength(4)
    expect(await deltasOf(second)).toEqual([[0, 'Four five']])
    await messages.append({ id: first, offset: 16, delta: '!' })
    await messages.finish({ id: first })
    expect((await messages.list({ taskId })).items[1]?.content).toBe('One 🧵 two three!')
  })

  it('wait for a transaction that has locked the task', async () => {
    const { taskId, first, messages } = await conversation()
    await messages.finish({ id: first })
    await age(taskId, 8)
    const other = await house.owner.connect()
    try {
      await other.query('begin')
      await other.query('select from app.tasks where id = $1 for update', [taskId])
      await sweep(house.services)
      expect(await deltasOf(first)).toHaveLength(4)
    } finally {
      await other.query('rollback')
      other.release()
    }
    await sweep(house.services)
    expect(await deltasOf(first)).toHaveLength(1)
  })

  /** Creates a task with old agents' messages of this many one-letter deltas. */
  async function writeLongAgo(messages: number, parts: number): Promise<string> {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    await sql(
      `with message as (
         insert into app.task_messages (user_id, task_id, seq, role, content, status, length)
         select $1, $2, n, 'agent', repeat('a', $4), 'complete', $4 from generate_series(1, $3) n
         returning id
       )
       insert into app.task_message_deltas (user_id, message_id, "offset", text)
       select $1, id, part, 'a' from message, generate_series(0, $4 - 1) part`,
      [ada.userId, taskId, messages, parts],
    )
    await sql(
      `insert into app.task_events (user_id, task_id, seq, kind, message_id, "offset")
       select $1, $2, m.seq * $3 + part, 'delta', m.id, part
       from app.task_messages m, generate_series(0, $3 - 1) part where m.task_id = $2`,
      [ada.userId, taskId, parts],
    )
    await age(taskId, 8)
    return taskId
  }

  it('are folded for fifty messages at a time, until all are', async () => {
    const taskId = await writeLongAgo(120, 3)
    await sweep(house.services)
    const { rows } = await sql(
      `select count(*)::int, count(*) filter (where d.text = 'aaa' and e.seq % 3 = 2)::int as whole
       from app.task_events e join app.task_message_deltas d on d.message_id = e.message_id and d."offset" = e."offset"
       where e.task_id = $1`,
      [taskId],
    )
    expect(rows).toEqual([{ count: 120, whole: 120 }])
  })

  it('are folded for fewer messages if they are long, so that a call ends before its deadline', async () => {
    const taskId = await writeLongAgo(3, 10_001)
    // All three are among the oldest.
    await sql(`update app.task_events set at = at - interval '1 day' where task_id = $1 and "offset" = 1`, [
      taskId,
    ])
    const { system } = house.services.pools
    expect(await system.sweep('messageDeltas')).toBe(2)
    expect(await system.sweep('messageDeltas')).toBe(1)
    expect(await system.sweep('messageDeltas')).toBe(0)
  })
})

describe('a round', () => {
  it('continues after a failure, and logs what failed', async () => {
    const lines: unknown[] = []
    const { services } = house
    const media = { ...services.media, removeDrafts: () => Promise.reject(new Error('the disk is full')) }
    const log = { ...services.log, warn: (...line: unknown[]) => lines.push(line) }
    const gone = await startSession(ada)
    await sql(`update auth.sessions set expires_at = now() - interval '2 days' where id = $1`, [
      gone.sessionId,
    ])
    await sweep({ ...services, media, log: log as typeof services.log })
    expect(lines).toEqual([
      [
        { err: expect.objectContaining({ message: 'the disk is full' }), swept: 'media files' },
        'sweeping failed',
      ],
    ])
    expect(await idsOf('auth.sessions')).toEqual([ada.sessionId])
  })

  it('ends when the server does', async () => {
    const gone = await startSession(ada)
    await sql(`update auth.sessions set expires_at = now() - interval '2 days' where id = $1`, [
      gone.sessionId,
    ])
    await sweep(house.services, () => true)
    expect(await idsOf('auth.sessions')).toContain(gone.sessionId)
  })
})
