import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { DatabaseUnavailableError } from '#server/db/errors.ts'
import { createLive } from '#server/live/live.ts'
import { createCaller } from '#server/rpc/caller.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { createPlaces } from './places.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

/** Acts as another process. */
function openPlaces(limits: Parameters<typeof createPlaces>[0]['limits'] = { streams: 20 }) {
  const places = createPlaces({ system: house.services.pools.system, limits })
  onTestFinished(() => places.close())
  return places
}

async function outcomes(
  takes: Promise<() => void>[],
): Promise<{ taken: (() => void)[]; refused: unknown[] }> {
  const settled = await Promise.allSettled(takes)
  return {
    taken: settled.flatMap(one => (one.status === 'fulfilled' ? [one.value] : [])),
    refused: settled.flatMap(one => (one.status === 'rejected' ? [one.reason] : [])),
  }
}

describe('the places of a user', () => {
  it('never exceed the limit, however many calls take them at once, in one process or in several', async () => {
    ada = await createActor(house)
    const processes = [openPlaces(), openPlaces(), openPlaces()]
    const takes = Array.from({ length: 102 }, (_, n) => processes[n % 3]?.take('streams', ada.userId))
    const { taken, refused } = await outcomes(takes.filter(take => take !== undefined))
    expect(taken.length).toBeLessThanOrEqual(20)
    expect(taken.length).toBeGreaterThan(0)
    expect(refused[0]).toMatchObject({ reason: 'rate_limited', details: { retryAt: expect.any(Date) } })
    // Calls that were refused during a concurrent burst no longer count.
    const fill = async () => {
      const { taken: more } = await outcomes([processes[0]?.take('streams', ada.userId) ?? Promise.reject()])
      taken.push(...more)
      return taken.length
    }
    await expect.poll(fill).toBe(20)
    await expect(processes[1]?.take('streams', ada.userId)).rejects.toMatchObject({ reason: 'rate_limited' })
  })

  it('are counted by kind and user, and are free again once they are returned', async () => {
    const [bob, cy] = [await createActor(house), await createActor(house)]
    const [here, there] = [openPlaces({ streams: 1, uploads: 1 }), openPlaces({ streams: 1, uploads: 1 })]
    const giveBack = await here.take('streams', bob.userId)
    await here.take('uploads', bob.userId)
    await here.take('streams', cy.userId)
    await expect(here.take('streams', bob.userId)).rejects.toMatchObject({ reason: 'rate_limited' })
    await expect(there.take('streams', bob.userId)).rejects.toMatchObject({ reason: 'rate_limited' })
    giveBack()
    giveBack()
    const take = (places: typeof here) =>
      places.take('streams', bob.userId).then(
        again => [again],
        () => [],
      )
    let again: (() => void)[] = []
    await expect
      .poll(async () => {
        again = await take(here)
        return again.length
      })
      .toBe(1)
    again[0]?.()
    await expect
      .poll(() =>
        there.take('streams', bob.userId).then(
          () => 'taken',
          () => 'refused',
        ),
      )
      .toBe('taken')
    await expect(here.take('streams', bob.userId)).rejects.toMatchObject({ reason: 'rate_limited' })
  })

  it('of a killed process count for half a minute, and are then swept', async () => {
    const bob = await createActor(house)
    const killed = '00000000-0000-7000-8000-00000000dead'
    await house.services.pools.system.holdPlaces(killed, [`streams:${bob.userId}`], {
      counts: [20],
      isTaking: false,
    })
    const places = openPlaces()
    await expect(places.take('streams', bob.userId)).rejects.toMatchObject({ reason: 'rate_limited' })
    const pass = (time: string) =>
      house.owner.query(
        `update app.held_places set expires_at = expires_at - $2::interval where process_id = $1`,
        [killed, time],
      )
    await pass('31 seconds')
    await places.take('streams', bob.userId)
    await pass('2 minutes')
    expect(await house.services.pools.system.sweep('heldPlaces')).toBeGreaterThanOrEqual(1)
    const { rowCount } = await house.owner.query('select from app.held_places where process_id = $1', [
      killed,
    ])
    expect(rowCount).toBe(0)
  })

  it('are returned when the process closes', async () => {
    const bob = await createActor(house)
    const places = createPlaces({ system: house.services.pools.system })
    await places.take('streams', bob.userId)
    await places.close()
    const { rowCount } = await house.owner.query('select from app.held_places where holder = $1', [
      `streams:${bob.userId}`,
    ])
    expect(rowCount).toBe(0)
    await expect(places.take('streams', bob.userId)).rejects.toMatchObject({ reason: 'overloaded' })
  })

  it('that could not be counted are refused, and leave no row', async () => {
    const bob = await createActor(house)
    const { system } = house.services.pools
    let isAway = true
    const places = createPlaces({
      limits: { streams: 1 },
      system: {
        holdPlaces: (...asked) =>
          isAway ? Promise.reject(new DatabaseUnavailableError('away')) : system.holdPlaces(...asked),
      },
    })
    onTestFinished(() => places.close())
    await expect(places.take('streams', bob.userId)).rejects.toThrow(DatabaseUnavailableError)
    isAway = false
    await places.take('streams', bob.userId)
  })
})

describe('streams', () => {
  const limits = { streams: 3 }

  async function serve() {
    const { pools, log, authSecret } = house.services
    const listenUrl = house.database.urls.listen
    const places = createPlaces({ system: pools.system, limits })
    const live = createLive({ pools, listenUrl, authSecret, log, places })
    const services = { ...house.services, live, places }
    const server = await serveHouse(services)
    onTestFinished(async () => {
      await server.close()
      await live.close()
      await places.close()
    })
    return { ...server, services }
  }

  async function newTask() {
    const owner = await createActor(house)
    const { id } = await owner.caller().tasks.create({ prompt: 'x' })
    const path = streamPath('tasks.logs.stream', { taskId: id })
    return { owner, id, path }
  }

  it('of one user are limited over all processes, and the reason says so', async () => {
    const [one, other] = [await serve(), await serve()]
    const { owner, path } = await newTask()
    const open = (port: number) => readEvents({ port, path, authorization: owner.authorization })
    const readers = [open(one.port), open(one.port), open(other.port)]
    await Promise.all(readers.map(reader => reader.opened))
    for (const { port } of [one, other]) {
      const refused = open(port)
      await refused.ended
      const error = refused.events.find(({ event }) => event === 'serialized-error')
      expect(JSON.parse(error?.data ?? '{}').json).toMatchObject({
        data: { code: 'TOO_MANY_REQUESTS', reason: 'rate_limited', retryAt: expect.any(String) },
      })
    }
    // Other users are not affected.
    const stranger = await newTask()
    const theirs = readEvents({
      port: one.port,
      path: stranger.path,
      authorization: stranger.owner.authorization,
    })
    await theirs.opened
    theirs.kill()
    readers[0]?.kill()
    const again = async () => {
      const reader = open(other.port)
      await Promise.race([reader.opened, sleep(5_000)])
      await sleep(50)
      const isOpen = !reader.events.some(({ event }) => event === 'serialized-error')
      if (isOpen) readers.push(reader)
      return isOpen
    }
    await expect.poll(again).toBe(true)
    for (const reader of readers) reader.kill()
  })

  it('that a caller in this process opens also count, until the caller ends them', async () => {
    const { services } = await serve()
    const { owner, id } = await newTask()
    const caller = createCaller(services, { headers: { authorization: owner.authorization } })
    const open = () => caller.tasks.logs.stream({ taskId: id })
    const streams = [await open(), await open(), await open()]
    await expect(open()).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      cause: { reason: 'rate_limited', details: { retryAt: expect.any(Date) } },
    })
    const iterator = streams[0]?.[Symbol.asyncIterator]()
    void iterator?.next()
    await iterator?.return?.()
    await (await open())[Symbol.asyncIterator]().return?.()
  })
})
