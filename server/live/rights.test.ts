import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createActor, createOrganization, type House, openHouse } from '#server/testing/actors.ts'
import { readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'

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

it.each([
  ['first', [true, false]],
  ['last', [false, true]],
])(
  'of two streams under one session, the one that names an organization which was left ends, though it came %s',
  async (_, order) => {
    const owner = await createActor(house)
    const { id: organizationId } = await createOrganization(await createActor(house), [owner])
    const { id: taskId } = await owner.caller().tasks.create({ prompt: 'x' })
    const readers = []
    for (const isNamed of order) {
      const reader = readEvents({
        ...owner,
        port,
        path: streamPath('tasks.logs.stream', { taskId }),
        ...(isNamed ? { organizationId } : {}),
      })
      await reader.opened
      readers.push({ isNamed, reader })
    }
    await house.owner.query('delete from auth.members where user_id = $1', [owner.userId])
    const named = readers.find(({ isNamed }) => isNamed)?.reader
    const other = readers.find(({ isNamed }) => !isNamed)?.reader
    const end = await Promise.race([named?.ended, sleep(5_000, 'never')])
    expect(end).toEqual({ isWhole: true })
    expect(named?.events.at(-1)?.event).toBe('serialized-error')
    await owner.caller().tasks.logs.append({ taskId, entries: [{ type: 'info', message: 'x' }] })
    await expect.poll(() => other?.events.filter(({ event }) => event === 'message').length).toBe(1)
    other?.kill()
  },
)
