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

// A server's connection freezes in the middle of a transaction. These tests measure how long its locked row
// delays callers of another server.

vi.setConfig({ testTimeout: 60_000 })

/**
 * The longest wait of a caller with no stuck statement. Without a bound it would be five seconds, and an
 * error.
 */
const SOON_MS = 3_000

/**
 * No more than the suite's pooler lends: a process that asks for more waits in the pooler, which has no
 * shares.
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

/** Locks a task's row in a transaction like the server's, over a connection that then stops carrying data. */
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

/** Undefined if the call succeeded, else why it failed. */
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

test('the row is free again within seconds, and thirty callers that wait for it do not delay others', async () => {
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

test('many users that each wait for a row leave connections to readers', async () => {
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

test('a caller that waits for a locked row is told to retry before its own deadline', async () => {
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
