import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWaitingCall } from '../approvals/fixture.ts'
import { createActor, type House, openHouse } from '../testing/actors.ts'
import { type EventReader, readEvents, streamPath } from '../testing/event-reader.ts'
import { serveHouse } from '../testing/http-house.ts'

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

const asked = { kind: 'deploy', title: 'Deploy?', payload: {} }

function idsOf({ events }: EventReader): (string | undefined)[] {
  return events.filter(({ event }) => event === 'message').map(({ id }) => id)
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 3_000; !isTrue(); await sleep(5)) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
  }
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
      await until(() => idsOf(reader).length === 1, 'what was there')
    }
    await approvals.request(asked)
    await Promise.all(readers.map(reader => until(() => idsOf(reader).length === 2, 'the next event')))
    expect(readers.map(idsOf)).toEqual([
      ['1', '3'],
      ['1', '3'],
      ['1', '3'],
    ])
    for (const reader of readers) reader.kill()
  })
})
