import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asked, createWaitingCall } from '#server/rooms/approvals/fixture.ts'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { type EventReader, readEvents, streamPath } from '#server/testing/event-reader.ts'
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

function idsOf({ events }: EventReader): (string | undefined)[] {
  return events.filter(({ event }) => event === 'message').map(({ id }) => id)
}

describe('a stream whose last numbers are of what is hidden by now', () => {
  it('goes on for every reader, however many come before the next event', async () => {
    const ada = await createActor(house)
    const { approvals, tasks } = ada.caller()
    await approvals.request(asked)
    const { id: taskId } = await tasks.create({ prompt: 'x' })
    const { id: toolCallId } = await createWaitingCall(ada, taskId)
    await approvals.request({ ...asked, toolCallId })
    await tasks.remove({ id: taskId })

    const open = () => readEvents({ ...ada, port, path: streamPath('approvals.stream', {}) })
    const readers: EventReader[] = []
    for (let n = 0; n < 3; n++) {
      const reader = open()
      readers.push(reader)
      await expect.poll(() => idsOf(reader)).toEqual(['1'])
    }
    await approvals.request(asked)
    await Promise.all(readers.map(reader => expect.poll(() => idsOf(reader)).toHaveLength(2)))
    expect(readers.map(idsOf)).toEqual([
      ['1', '3'],
      ['1', '3'],
      ['1', '3'],
    ])
    for (const reader of readers) reader.kill()
  })
})
