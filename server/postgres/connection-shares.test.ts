import { expect, test } from 'vitest'
import { type Claimant, ConnectionShares, NoConnectionError } from './connection-shares.ts'

const reading = (caller: string) => ({ caller, isReadOnly: true })

/** Counts the connections that this claimant receives at once. */
async function takeAll(shares: ConnectionShares, claimant: Claimant, wanted = 20) {
  const held: (() => void)[] = []
  for (let i = 0; i < wanted; i++) {
    const before = shares.waiting
    const taking = shares.take(claimant).then(giveBack => held.push(giveBack))
    taking.catch(() => {})
    await Promise.resolve()
    await Promise.resolve()
    if (shares.waiting > before) break
    await taking
  }
  return held
}

test('a caller may hold half of the connections that others leave, and at least two', async () => {
  const shares = new ConnectionShares(10, 10_000)
  const counts: number[] = []
  for (const caller of ['a', 'b', 'c', 'd']) counts.push((await takeAll(shares, reading(caller))).length)
  expect(counts).toEqual([5, 2, 2, 1])
})

test('a single caller has a second connection, however small the pool', async () => {
  expect(await takeAll(new ConnectionShares(2, 10_000), reading('a'))).toHaveLength(2)
  expect(await takeAll(new ConnectionShares(1, 10_000), reading('a'))).toHaveLength(1)
})

test('statements of no particular caller have no share, and writing statements leave a fifth to read-only ones', async () => {
  const shares = new ConnectionShares(10, 10_000)
  expect(await takeAll(shares, { isReadOnly: false })).toHaveLength(8)
  expect(await takeAll(shares, {})).toHaveLength(2)
})

test('a returned connection goes to the first waiting caller that may hold it', async () => {
  const shares = new ConnectionShares(4, 10_000)
  const ofA = await takeAll(shares, reading('a'), 2)
  const ofB = await takeAll(shares, reading('b'), 2)
  const order: string[] = []
  for (const caller of ['a', 'c', 'd']) void shares.take(reading(caller)).then(() => order.push(caller))
  ofB[0]?.()
  // Returned twice by mistake, it still counts once.
  ofB[0]?.()
  await Promise.resolve()
  expect(shares.waiting).toBe(2)
  ofA[0]?.()
  ofB[1]?.()
  await new Promise(resolve => setTimeout(resolve))
  expect(order).toEqual(['c', 'a', 'd'])
  expect(shares.waiting).toBe(0)
})

test('a wait times out, and the error says whether the caller’s own statements are the cause', async () => {
  const shares = new ConnectionShares(10, 20)
  await takeAll(shares, reading('a'), 5)
  await expect(shares.take(reading('a'))).rejects.toMatchObject({ isOwnFault: true })
  for (let i = 0; i < 5; i++) await shares.take()
  await expect(shares.take(reading('b'))).rejects.toMatchObject({ isOwnFault: false })
  expect(shares.waiting).toBe(0)
})

test('a caller that aborts stops waiting', async () => {
  const shares = new ConnectionShares(1, 10_000)
  const giveBack = await shares.take()
  const controller = new AbortController()
  const leaving = shares.take({ caller: 'a', isReadOnly: true, signal: controller.signal })
  const staying = shares.take(reading('b'))
  controller.abort(new Error('gone'))
  await expect(leaving).rejects.toThrow('gone')
  giveBack()
  ;(await staying)()
  expect(shares.waiting).toBe(0)
})

test('a caller with very many waiting statements is refused another one at once', async () => {
  const shares = new ConnectionShares(1, 10_000)
  const giveBack = await shares.take(reading('a'))
  const waiting = Array.from({ length: 200 }, () => shares.take(reading('a')))
  await expect(shares.take(reading('a'))).rejects.toThrow(NoConnectionError)
  const other = shares.take(reading('b'))
  giveBack()
  for (const next of waiting) (await next)()
  ;(await other)()
})
