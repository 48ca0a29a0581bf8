import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { type EventReader, readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { createLive } from './live.ts'

let house: House
let port: number
let close: () => Promise<void>

beforeAll(async () => {
  house = await openHouse()
  ;({ port, close } = await serveHouse(house.services))
})
afterAll(async () => {
  await close()
  await house.close()
})

const line = (message: string) => ({ type: 'info' as const, message })

async function newTask() {
  const owner = await createActor(house)
  const caller = owner.caller()
  const { id } = await caller.tasks.create({ prompt: 'x' })
  const log = (...messages: string[]) => caller.tasks.logs.append({ taskId: id, entries: messages.map(line) })
  return { owner, caller, id, log }
}

interface Open {
  id: string
  authorization: string
  procedure?: 'tasks.logs.stream' | 'tasks.messages.stream'
  lastEventId?: string
  organizationId?: string
  at?: number
}

function open({ id, procedure = 'tasks.logs.stream', at = port, ...rest }: Open): EventReader {
  return readEvents({ ...rest, port: at, path: streamPath(procedure, { taskId: id }) })
}

function idsOf({ events }: EventReader): (string | undefined)[] {
  return events.filter(({ event }) => event === 'message').map(({ id }) => id)
}

/** The last event, once the stream has ended as it should. */
async function lastOf(
  reader: EventReader,
): Promise<{ event: string | undefined; data: Record<string, unknown> }> {
  expect(await reader.ended).toEqual({ isWhole: true })
  const last = reader.events.at(-1)
  return { event: last?.event, data: last?.data ? (JSON.parse(last.data).json?.data ?? {}) : {} }
}

async function until(isTrue: () => boolean, what: string, deadlineMs = 15_000): Promise<void> {
  for (const end = Date.now() + deadlineMs; !isTrue(); await sleep(5)) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
  }
}

describe('following', () => {
  it('gives what was there, then what comes, and returns after the last event of a task that ends', async () => {
    const { owner, caller, id, log } = await newTask()
    await log('one', 'two')
    const reader = open({ ...owner, id })
    await until(() => idsOf(reader).length === 2, 'what was there')
    await log('three')
    await until(() => idsOf(reader).length === 3, 'what comes')
    await caller.tasks.stop({ id })
    expect(await lastOf(reader)).toMatchObject({ event: 'return' })
    expect(idsOf(reader)).toEqual(['1', '2', '3'])
  })

  it('brings an event to a reader in less time than any poll takes', async () => {
    const { owner, id, log } = await newTask()
    const reader = open({ ...owner, id })
    await reader.opened
    const startedAt = performance.now()
    await log('now')
    await until(() => idsOf(reader).length === 1, 'the event')
    expect(performance.now() - startedAt).toBeLessThan(500)
    reader.kill()
  })

  it('replays a task that has ended, and returns', async () => {
    const { owner, caller, id, log } = await newTask()
    await log('one', 'two', 'three')
    await caller.tasks.stop({ id })
    const reader = open({ ...owner, id, lastEventId: '1' })
    expect(await lastOf(reader)).toMatchObject({ event: 'return' })
    expect(idsOf(reader)).toEqual(['2', '3'])
  })

  it('can be taken up again once an ended task is retried', async () => {
    const { owner, caller, id, log } = await newTask()
    await log('one')
    await caller.tasks.stop({ id })
    await caller.tasks.retry({ id })
    const reader = open({ ...owner, id, lastEventId: '1' })
    await reader.opened
    await log('two')
    await until(() => idsOf(reader).length === 1, 'the event after the retry')
    expect(idsOf(reader)).toEqual(['2'])
    reader.kill()
  })

  it('gives readers at different places the rest of each', async () => {
    const { owner, caller, id, log } = await newTask()
    await log(...Array.from({ length: 400 }, (_, index) => `${index}`))
    const places = [0, 1, 250, 399, 400]
    const readers = places.map(place => open({ ...owner, id, lastEventId: String(place || '') }))
    await Promise.all(readers.map(reader => reader.opened))
    for (let n = 0; n < 20; n++) await log('a', 'b')
    await caller.tasks.stop({ id })
    for (const [index, reader] of readers.entries()) {
      await lastOf(reader)
      const from = places[index] ?? 0
      expect(idsOf(reader)).toEqual(Array.from({ length: 440 - from }, (_, n) => String(from + n + 1)))
    }
  })

  it('reads pages that are larger than what is kept, in order', async () => {
    const { owner, caller, id } = await newTask()
    const entries = Array.from({ length: 40 }, () => line('x'.repeat(60_000)))
    for (let n = 0; n < 4; n++) await caller.tasks.logs.append({ taskId: id, entries })
    await caller.tasks.stop({ id })
    const reader = open({ ...owner, id })
    await lastOf(reader)
    expect(idsOf(reader)).toEqual(Array.from({ length: 160 }, (_, n) => String(n + 1)))
  })

  it('takes an id behind the end for the end', async () => {
    const { owner, caller, id, log } = await newTask()
    await log('one')
    const reader = open({ ...owner, id, lastEventId: '99' })
    await reader.opened
    await log('two')
    await caller.tasks.stop({ id })
    await lastOf(reader)
    expect(idsOf(reader)).toEqual(['2'])
  })

  it.each(['x', '-1', '1.5', '1e3', '99999999999'])('refuses %j as an event’s id', async lastEventId => {
    const { owner, id } = await newTask()
    const { event, data } = await lastOf(open({ ...owner, id, lastEventId }))
    expect({ event, data }).toMatchObject({ event: 'serialized-error', data: { code: 'BAD_REQUEST' } })
  })

  it('refuses who may not see the task, with the same words as for one that is not there', async () => {
    const { owner, id } = await newTask()
    const stranger = await createActor(house)
    const foreign = open({ ...stranger, id })
    const missing = open({ ...owner, id: '01990000-0000-7000-8000-000000000000' })
    expect(await lastOf(foreign)).toMatchObject({ data: { code: 'NOT_FOUND' } })
    await missing.ended
    expect(missing.events).toEqual(foreign.events)
    const token = await createApiToken(owner, { scopes: ['runs:read'] })
    expect(await lastOf(open({ ...token, id }))).toMatchObject({ data: { reason: 'missing_scope' } })
    expect(await lastOf(open({ id, authorization: 'Bearer x' }))).toMatchObject({
      data: { code: 'UNAUTHORIZED' },
    })
  })
})

describe('a stream ends within a second', () => {
  /** Opens a stream, takes a right away, and tells how the stream ended and how long that took. */
  async function endOf(stream: Open, takeAway: () => Promise<unknown>) {
    const reader = open(stream)
    await reader.opened
    await sleep(50)
    await takeAway()
    const startedAt = performance.now()
    const { event, data } = await lastOf(reader)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(event).toBe('serialized-error')
    return data
  }

  it('of the session’s revocation, and the other sessions’ streams go on', async () => {
    const { owner, caller, id, log } = await newTask()
    const phone = await startSession(owner)
    const other = open({ ...owner, id })
    const data = await endOf({ ...phone, id }, () => caller.account.revokeSession({ id: phone.sessionId }))
    expect(data).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
    await log('still here')
    await until(() => idsOf(other).length === 1, 'the event')
    other.kill()
  })

  it('of the token’s revocation', async () => {
    const { owner, caller, id } = await newTask()
    const token = await createApiToken(owner, { scopes: ['tasks:read'] })
    const data = await endOf({ ...token, id }, () => caller.apiTokens.revoke({ id: token.id }))
    expect(data).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('of the token’s expiry', async () => {
    const { owner, id } = await newTask()
    const expiresAt = new Date(Date.now() + 700)
    const token = await createApiToken(owner, { scopes: ['tasks:read'], expiresAt })
    const data = await endOf({ ...token, id }, () => sleep(expiresAt.getTime() - Date.now()))
    expect(data).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('of the user’s removal', async () => {
    const { owner, id } = await newTask()
    const data = await endOf({ ...owner, id }, () =>
      house.owner.query('delete from auth.users where id = $1', [owner.userId]),
    )
    expect(data).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('of leaving the organization that the call named', async () => {
    const { owner, id } = await newTask()
    const chief: Actor = await createActor(house)
    const { id: organizationId } = await createOrganization(chief, [owner])
    const { authorization } = owner
    const data = await endOf({ authorization, organizationId, id }, () =>
      house.owner.query('delete from auth.members where user_id = $1', [owner.userId]),
    )
    expect(data).toMatchObject({ code: 'FORBIDDEN', reason: 'not_a_member' })
  })

  it('of the task’s removal', async () => {
    const { owner, caller, id } = await newTask()
    const data = await endOf({ ...owner, id }, () => caller.tasks.remove({ id }))
    expect(data).toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('without news', () => {
  it('events and ends are found by asking once a second', async () => {
    const deaf = createLive({ ...house.services, listenUrl: null })
    const server = await serveHouse({ ...house.services, live: deaf })
    const { owner, caller, id, log } = await newTask()
    const reader = open({ ...owner, id, at: server.port })
    await reader.opened
    await log('unheard')
    await until(() => idsOf(reader).length === 1, 'the event')
    await caller.tasks.stop({ id })
    expect(await lastOf(reader)).toMatchObject({ event: 'return' })
    await server.close()
    await deaf.close()
  })

  it('and news of another process comes without asking', async () => {
    const listenUrl = house.database.urls.listen
    const patient = createLive({ ...house.services, listenUrl, checkIntervalMs: 60_000 })
    const server = await serveHouse({ ...house.services, live: patient })
    const { owner, id, log } = await newTask()
    const reader = open({ ...owner, id, at: server.port })
    await reader.opened
    await sleep(200)
    await log('heard')
    await until(() => idsOf(reader).length === 1, 'the event')
    reader.kill()
    await server.close()
    await patient.close()
  })
})

describe('a draining server', () => {
  it('cuts its streams without saying that they have ended', async () => {
    const server = await serveHouse(house.services)
    const { owner, id, log } = await newTask()
    await log('one')
    const reader = open({ ...owner, id, at: server.port })
    await until(() => idsOf(reader).length === 1, 'the event')
    await server.close()
    expect(await reader.ended).toEqual({ isWhole: false })
    expect(reader.events.map(({ event }) => event)).toEqual(['connected', 'message'])
  })
})
