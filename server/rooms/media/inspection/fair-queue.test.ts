import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createFairQueue, type QueueLimits } from './fair-queue.ts'

/** A queue whose jobs end when the test says so. */
function openQueue(limits: Partial<QueueLimits> = {}) {
  const run = createFairQueue({ atOnce: 2, maxWaiting: 100, maxWaitMs: 60_000, ...limits })
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const add = (name: string, signal?: AbortSignal) => {
    const outcome = run({
      userId: name.slice(0, 1),
      signal,
      work: () => {
        started.push(name)
        return new Promise<string>(resolve => ends.set(name, () => resolve(name)))
      },
    })
    outcome.catch(() => {})
    return outcome
  }
  const end = async (name: string) => {
    ends.get(name)?.()
    await nextTurn()
  }
  return { add, end, started }
}

const OVERLOADED = { reason: 'overloaded', details: { retryAt: expect.any(Date) } }

it('a user with many jobs leaves a place for another user', async () => {
  const { add, started } = openQueue()
  for (const name of ['a1', 'a2', 'a3', 'b1']) void add(name)
  await nextTurn()
  expect(started).toEqual(['a1', 'b1'])
})

it('users take turns, however many jobs one of them has', async () => {
  const { add, end, started } = openQueue()
  for (const name of ['a1', 'b1', 'a2', 'a3', 'a4', 'c1', 'd1', 'c2']) void add(name)
  await nextTurn()
  for (const name of ['a1', 'b1', 'a2', 'c1', 'd1', 'a3']) await end(name)
  expect(started).toEqual(['a1', 'b1', 'a2', 'c1', 'd1', 'a3', 'c2', 'a4'])
})

it('a job that fails makes room for the next one', async () => {
  const run = createFairQueue({ atOnce: 1, maxWaiting: 10, maxWaitMs: 60_000 })
  const failing = run({ userId: 'a', work: () => Promise.reject(new Error('failed')) })
  const next = run({ userId: 'b', work: async () => 'done' })
  await expect(failing).rejects.toThrow('failed')
  expect(await next).toBe('done')
})

it('a full queue rejects a job of the user with the most waiting jobs', async () => {
  const { add, end, started } = openQueue({ maxWaiting: 3 })
  void add('a1')
  void add('b1')
  const waiting = ['a2', 'a3', 'a4'].map(name => add(name))
  await nextTurn()
  await expect(add('a5')).rejects.toMatchObject(OVERLOADED)
  void add('c1')
  await expect(waiting[2]).rejects.toMatchObject(OVERLOADED)
  await end('b1')
  expect(started).toEqual(['a1', 'b1', 'c1'])
  void add('d1')
  await expect(add('d2')).rejects.toMatchObject(OVERLOADED)
})

it('a job whose caller leaves is not started', async () => {
  const { add, end, started } = openQueue()
  const controller = new AbortController()
  void add('a1')
  const left = add('a2', controller.signal)
  void add('a3')
  controller.abort()
  await expect(left).rejects.toThrow(/cancelled/)
  await expect(add('b1', AbortSignal.abort())).rejects.toThrow(/cancelled/)
  await end('a1')
  await end('a3')
  expect(started).toEqual(['a1', 'a3'])
  void add('a4')
  await nextTurn()
  expect(started).toEqual(['a1', 'a3', 'a4'])
})

it('a job whose turn does not come in time is rejected', async () => {
  const { add, end, started } = openQueue({ maxWaitMs: 20 })
  void add('a1')
  await expect(add('a2')).rejects.toMatchObject(OVERLOADED)
  await end('a1')
  expect(started).toEqual(['a1'])
})
