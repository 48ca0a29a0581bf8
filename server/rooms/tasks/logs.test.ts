import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { reasonOf } from '#server/testing/refusal.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

describe('logs', () => {
  it('are numbered without gaps, in append order, even if many callers append at once', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const writers = 20
    const appends = 10
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let n = 0; n < appends; n++) {
          const entries = [0, 1].map(part => ({ type: 'info' as const, message: `${writer}/${n}/${part}` }))
          await ada.caller().tasks.logs.append({ taskId: task.id, entries })
        }
      }),
    )
    const total = writers * appends * 2
    const { items, lastSeq } = await ada.caller().tasks.logs.list({ taskId: task.id, limit: 1_000 })
    expect(lastSeq).toBe(total)
    expect(items.map(entry => entry.seq)).toEqual(Array.from({ length: total }, (_, i) => i + 1))
    for (let writer = 0; writer < writers; writer++) {
      const own = items.map(entry => entry.message).filter(message => message.startsWith(`${writer}/`))
      expect(own).toEqual(
        Array.from({ length: appends }, (_, n) => [`${writer}/${n}/0`, `${writer}/${n}/1`]).flat(),
      )
    }
  })

  it('are read in pages, after a given number', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const entries = Array.from({ length: 5 }, (_, i) => ({ type: 'info' as const, message: `line ${i + 1}` }))
    await ada.caller().tasks.logs.append({ taskId: task.id, entries })
    const page = await ada.caller().tasks.logs.list({ taskId: task.id, after: 2, limit: 2 })
    expect(page).toMatchObject({ items: [{ seq: 3, message: 'line 3' }, { seq: 4 }], lastSeq: 5 })
    expect((await ada.caller().tasks.logs.list({ taskId: task.id, after: 5 })).items).toEqual([])
  })

  it('keep every character', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const messages = ['', '"quoted", {braces} \\ and \t tabs', 'NULL', 'émoji 🏠', 'line\nbreak']
    await ada.caller().tasks.logs.append({
      taskId: task.id,
      entries: messages.map(message => ({ type: 'command' as const, message })),
    })
    const { items } = await ada.caller().tasks.logs.list({ taskId: task.id })
    expect(items.map(entry => entry.message)).toEqual(messages)
  })

  it('can be neither written nor read by a stranger', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const entries = [{ type: 'info' as const, message: 'intruder' }]
    expect(await reasonOf(bob.caller().tasks.logs.append({ taskId: task.id, entries }))).toBe('not_found')
    expect(await reasonOf(bob.caller().tasks.logs.list({ taskId: task.id }))).toBe('not_found')
    expect(await ada.caller().tasks.logs.list({ taskId: task.id })).toEqual({ items: [], lastSeq: 0 })
  })

  it('reject zero entries and too many', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    const entries = Array.from({ length: 501 }, () => ({ type: 'info' as const, message: '' }))
    expect(await reasonOf(ada.caller().tasks.logs.append({ taskId: task.id, entries }))).toBe('BAD_REQUEST')
    expect(await reasonOf(ada.caller().tasks.logs.append({ taskId: task.id, entries: [] }))).toBe(
      'BAD_REQUEST',
    )
  })
})

describe('messages', () => {
  it('are listed in pages, oldest first', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    for (const content of ['one', 'two', 'three'])
      await ada.caller().tasks.messages.send({ taskId: task.id, content })
    const first = await ada.caller().tasks.messages.list({ taskId: task.id, limit: 2 })
    expect(first.items.map(message => message.content)).toEqual(['one', 'two'])
    expect(first.items[0]).toMatchObject({ taskId: task.id, role: 'user', status: 'complete', seq: 1 })
    const cursor = first.nextCursor ?? undefined
    const second = await ada.caller().tasks.messages.list({ taskId: task.id, limit: 2, cursor })
    expect(second).toMatchObject({ items: [{ content: 'three' }], nextCursor: null })
  })

  it('can be neither sent nor read by a stranger', async () => {
    const task = await ada.caller().tasks.create({ prompt: 'x' })
    expect(await reasonOf(bob.caller().tasks.messages.send({ taskId: task.id, content: 'hi' }))).toBe(
      'not_found',
    )
    expect(await reasonOf(bob.caller().tasks.messages.list({ taskId: task.id }))).toBe('not_found')
    expect((await bob.caller().usage.today()).messages.used).toBe(0)
  })
})
