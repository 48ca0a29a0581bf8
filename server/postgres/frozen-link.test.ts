import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { startNetwork } from '#server/testing/network.ts'
import { reasonOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { isPgbouncer } from './connection-url.ts'
import { LoginPool } from './login-pool.ts'
import { toPgConfig } from './postgres-client.ts'

// A server whose link froze in the middle of a transaction, and what its locked row costs those who come by
// another server.

vi.setConfig({ testTimeout: 60_000 })

/**
 * What nobody waits for whose statements are none of the stuck ones. Without a bound it would be five
 * seconds, and an error.
 */
const SOON_MS = 3_000

/**
 * No more than what the suite's pooler lends: a process that asks for more waits for it in the pooler, which
 * knows no shares.
 */
const POOL_SIZE = 4

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse({}, { maxConnections: POOL_SIZE })
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  await bob.caller().tasks.create({ prompt: 'mine' })
})
afterAll(() => house.close())

/**
 * Locks a row of a task as a transaction of the server's does, over a link that then carries nothing any
 * more.
 */
async function lockOverFrozenLink(owner: Actor, taskId: string) {
  const url = house.database.directUrls.api
  const network = await startNetwork(url)
  const pool = new LoginPool({
    connection: toPgConfig(network.through(url)),
    isNamed: !isPgbouncer(url),
  })
  const lost = scopedDatabase(pool, scopeOf(owner))
    .transaction()
    .execute(async transaction => {
      await transaction.selectFrom('app.tasks').select('id').where('id', '=', taskId).forUpdate().execute()
      network.swallow()
      await transaction.selectFrom('app.tasks').select('id').execute()
    })
    .catch((error: unknown) => error)
  await untilLocked(taskId)
  return {
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]()
      await lost
      await pool.end()
    },
  }
}

async function isLocked(taskId: string): Promise<boolean> {
  const { rowCount } = await house.owner.query('select from app.tasks where id = $1 for update skip locked', [
    taskId,
  ])
  return rowCount === 0
}

async function untilLocked(taskId: string): Promise<void> {
  while (!(await isLocked(taskId))) await sleep(5)
}

/** Nothing where the call was answered, or why it was refused. */
async function outcomeOf(call: Promise<unknown>): Promise<string | undefined> {
  const settled = await call.then(() => undefined).catch((error: unknown) => ({ error }))
  return settled && reasonOf(Promise.reject(settled.error))
}

async function timeListsOf(actor: Actor): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < 10; i++) {
    const startedAt = performance.now()
    expect((await actor.caller().tasks.list({})).items).toHaveLength(1)
    times.push(performance.now() - startedAt)
    await sleep(50)
  }
  return times
}

test('the row is free again within seconds, and meanwhile thirty callers who wait for it hold nobody else up', async () => {
  const { id } = await ada.caller().tasks.create({ prompt: 'contended' })
  const lockedAt = performance.now()
  await using _ = await lockOverFrozenLink(ada, id)
  const entries = [{ type: 'info' as const, message: 'x' }]
  const waiting = Array.from({ length: 30 }, () =>
    outcomeOf(ada.caller().tasks.logs.append({ taskId: id, entries })),
  )
  const times = await timeListsOf(bob)
  expect(Math.max(...times)).toBeLessThan(SOON_MS)
  while (await isLocked(id)) {
    expect(performance.now() - lockedAt).toBeLessThan(25_000)
    await sleep(100)
  }
  for (const reason of await Promise.all(waiting)) expect([undefined, 'overloaded']).toContain(reason)
  await ada.caller().tasks.logs.append({ taskId: id, entries })
})

test('callers of many users who each wait for a row leave connections to those who read', async () => {
  const owners = await Promise.all(Array.from({ length: 12 }, () => createActor(house, { name: 'Owner' })))
  const blocker = await house.owner.connect()
  try {
    const tasks = await Promise.all(owners.map(owner => owner.caller().tasks.create({ prompt: 'contended' })))
    await blocker.query('begin')
    await blocker.query('select from app.tasks where id = any ($1) for update', [tasks.map(({ id }) => id)])
    const waiting = tasks.flatMap(({ id }, i) =>
      Array.from({ length: 3 }, () =>
        outcomeOf((owners[i] as Actor).caller().tasks.update({ id, title: 'x' })),
      ),
    )
    const times = await timeListsOf(bob)
    expect(Math.max(...times)).toBeLessThan(SOON_MS)
    await blocker.query('rollback')
    await Promise.all(waiting)
  } finally {
    blocker.release(true)
  }
})

test('a caller who waits for a row of another transaction is told to come back, before their own deadline', async () => {
  const { id } = await ada.caller().tasks.create({ prompt: 'locked' })
  const blocker = await house.owner.connect()
  try {
    await blocker.query('begin')
    await blocker.query('select from app.tasks where id = $1 for update', [id])
    const startedAt = performance.now()
    expect(await reasonOf(ada.caller().tasks.update({ id, title: 'x' }))).toBe('overloaded')
    expect(performance.now() - startedAt).toBeGreaterThan(5_500)
  } finally {
    blocker.release(true)
  }
})
