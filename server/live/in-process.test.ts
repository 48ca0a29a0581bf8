import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { anonymous, createActor, createApiToken, type House, openHouse } from '#server/testing/actors.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const line = (message: string) => ({ type: 'info' as const, message })

async function newTask() {
  const owner = await createActor(house)
  const caller = owner.caller()
  const { id } = await caller.tasks.create({ prompt: 'x' })
  const log = (...messages: string[]) => caller.tasks.logs.append({ taskId: id, entries: messages.map(line) })
  return { owner, caller, id, log }
}

describe('in this process', () => {
  it('a stream is iterated, and left before its end', async () => {
    const { caller, id, log } = await newTask()
    await log('one', 'two')
    const seen: unknown[] = []
    for await (const event of await caller.tasks.logs.stream({ taskId: id })) {
      seen.push(event)
      if (seen.length === 2) break
    }
    expect(seen).toEqual([
      ['1', expect.objectContaining({ message: 'one' }), expect.anything()],
      ['2', expect.objectContaining({ message: 'two' }), expect.anything()],
    ])
  })

  it('who iterates slowly gets every event', async () => {
    const { caller, id, log } = await newTask()
    const stream = await caller.tasks.logs.stream({ taskId: id })
    const iterator = stream[Symbol.asyncIterator]()
    const first = iterator.next()
    for (let n = 0; n < 60; n++) await log(`${n}`)
    await caller.tasks.stop({ id })
    const ids = [(await first).value]
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) ids.push(next.value)
    expect(ids.map(event => (event as unknown as [string])[0])).toEqual(
      Array.from({ length: 60 }, (_, n) => String(n + 1)),
    )
  })

  it('whoever waits for an event is let go when the call is aborted', async () => {
    const { owner, id } = await newTask()
    const { createCaller } = await import('#server/rpc/caller.ts')
    const controller = new AbortController()
    const caller = createCaller(house.services, {
      headers: { authorization: owner.authorization },
      signal: controller.signal,
    })
    const iterator = (await caller.tasks.logs.stream({ taskId: id }))[Symbol.asyncIterator]()
    const waiting = iterator.next()
    await sleep(20)
    controller.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })

  it('a lease follows no stream', async () => {
    const { owner, id } = await newTask()
    const token = await createApiToken(owner, { scopes: ['tasks:work'] })
    const claim = await token.caller().tasks.claim({ worker: 'w' })
    const worker = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
    await expect(worker.tasks.logs.stream({ taskId: id })).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})
