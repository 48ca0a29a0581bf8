import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { type Loop, repeatEvery } from './repeat-every.ts'

let loop: Loop | undefined
let lines: string[] = []

afterEach(async () => {
  await loop?.stop()
  lines = []
})

function repeat(work: (stopping: AbortSignal) => Promise<number | undefined>, intervalMs = 5): Loop {
  const write = (_fields: object, message: string) => void lines.push(message)
  loop = repeatEvery(
    { intervalMs, log: { info: write, warn: write } as never, failureMessage: 'it failed' },
    work,
  )
  return loop
}

test('does nothing until it is woken, then runs one round after another', async () => {
  let rounds = 0
  let running = 0
  const { wake } = repeat(async () => {
    expect(++running).toBe(1)
    await sleep(1)
    running--
    rounds++
    return undefined
  })
  await sleep(30)
  expect(rounds).toBe(0)
  wake()
  await expect.poll(() => rounds).toBeGreaterThan(2)
})

test('runs another round at once when it is woken during one, however often', async () => {
  const gate = Promise.withResolvers<void>()
  let rounds = 0
  const { wake } = repeat(async () => {
    rounds++
    await gate.promise
    return undefined
  }, 60_000)
  for (let n = 0; n < 10; n++) wake()
  expect(rounds).toBe(1)
  gate.resolve()
  await expect.poll(() => rounds).toBe(2)
  await sleep(20)
  expect(rounds).toBe(2)
})

test('waits as long as a round says', async () => {
  let rounds = 0
  const { wake } = repeat(async () => (++rounds < 5 ? 0 : undefined), 60_000)
  wake()
  await expect.poll(() => rounds).toBe(5)
  await sleep(20)
  expect(rounds).toBe(5)
})

test('logs a round that throws once, goes on, and logs that it is over', async () => {
  let rounds = 0
  const { wake } = repeat(async () => {
    if (++rounds < 4) throw new Error('down')
    return undefined
  })
  wake()
  await expect.poll(() => rounds).toBeGreaterThan(4)
  expect(lines).toEqual(['it failed', 'over: it failed'])
})

test('stops: it aborts the signal, waits for the running round, and starts no other', async () => {
  const gate = Promise.withResolvers<void>()
  let rounds = 0
  let signal: AbortSignal | undefined
  const { wake, stop } = repeat(async stopping => {
    rounds++
    signal = stopping
    await gate.promise
    return 0
  })
  wake()
  wake()
  let isStopped = false
  const stopped = Promise.all([stop(), stop()]).then(() => {
    isStopped = true
  })
  await sleep(10)
  expect(signal?.aborted).toBe(true)
  expect(isStopped).toBe(false)
  gate.resolve()
  await stopped
  wake()
  await sleep(20)
  expect(rounds).toBe(1)
})
