import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMetrics } from '#server/app/metrics.ts'
import { erasureLines, readErasures } from '#server/postgres/migrations/erasures.ts'
import { createEraser } from '#server/system/eraser.ts'
import { type Actor, createActor, createOrganization, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { startServerProcess } from '#server/testing/server-process.ts'
import { addTasks, countRows, eraseEverything, openErasures, rowsOf } from './erasure-fixture.ts'

// Accounts with too many rows to delete before account.remove answers.

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(() => house.close())

const UNAUTHENTICATED = { reason: 'unauthenticated' }

describe('a large account', { timeout: 180_000 }, () => {
  it('is hidden by one call, and deleted afterwards', async () => {
    await addTasks(ada, { tasks: 20_000, logs: 10 })
    const kept = await createActor(house, { name: 'Bob' })
    await addTasks(kept, { tasks: 3, logs: 2 })

    expect(await ada.caller().account.remove()).toEqual({ id: ada.userId })
    expect(await countRows(house, 'app.tasks', ada.userId)).toBe(20_000)
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)

    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    const { rowCount } = await house.owner.query('select from auth.users where id = $1', [ada.userId])
    expect(rowCount).toBe(0)
    expect(await countRows(house, 'app.task_logs', kept.userId)).toBe(6)
  })

  it('is deleted by another process after one was killed, which keeps its progress', async () => {
    await addTasks(ada, { tasks: 2_000, logs: 15 })
    await ada.caller().account.remove()
    const { urls, ownerUrl } = house.database
    const left = () => countRows(house, 'app.task_logs', ada.userId)
    {
      await using server = await startServerProcess({ urls, directUrl: ownerUrl })
      await expect.poll(left, { timeout: 30_000, interval: 10 }).toBeLessThan(29_000)
      await server.stop('SIGKILL')
    }
    const after = await left()
    expect(after).toBeGreaterThan(0)
    const { rows } = await house.owner.query(
      `select row_count::int as count from app.erasures where key ->> 'id' = $1`,
      [ada.userId],
    )
    expect(rows[0].count).toBe(30_000 - after)
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
  })

  it('can be deleted by several processes at once, each row once', async () => {
    await addTasks(ada, { tasks: 1_000, logs: 5 })
    await ada.caller().account.remove()
    const erasers = Array.from({ length: 4 }, () => createEraser(house.services))
    for (const eraser of erasers) eraser.wake()
    await expect.poll(() => openErasures(house), { timeout: 60_000 }).toBe(0)
    await Promise.all(erasers.map(eraser => eraser.stop()))
    const { rows } = await house.owner.query(
      `select row_count::int as count, failure_count as failures from app.erasures where key ->> 'id' = $1`,
      [ada.userId],
    )
    // Includes the tasks' logs, and the first thousand rows, which account.remove deleted itself.
    expect(rows).toEqual([{ count: 6_000, failures: 0 }])
  })

  it('continues after a batch that failed, and stores the error', async () => {
    await addTasks(ada, { tasks: 1_500, logs: 1 })
    await ada.caller().account.remove()
    const { rows } = await house.owner.query(`select id from app.erasures where key ->> 'id' = $1`, [
      ada.userId,
    ])
    const id = rows[0].id
    const { system } = house.services.pools
    let failures = 0
    const eraser = createEraser({
      log: house.services.log,
      pools: {
        system: {
          nextErasure: () => system.nextErasure(),
          noteErasureFailure: failure => system.noteErasureFailure({ ...failure, retryAfterMs: 10 }),
          // Fails as a statement timeout does.
          eraseBatch: async (job, limit) => {
            if (failures++ < 2) throw new Error('canceling statement due to statement timeout')
            return system.eraseBatch(job, limit)
          },
        },
      },
    })
    eraser.wake()
    const read = async () =>
      (await house.owner.query('select * from app.erasures where id = $1', [id])).rows[0]
    await expect.poll(async () => (await read()).finished_at, { timeout: 60_000 }).not.toBeNull()
    await eraser.stop()
    expect(await read()).toMatchObject({
      failure_count: 2,
      last_error: expect.stringMatching(/statement timeout/),
    })
    expect(eraser.counts()).toMatchObject({ failures: 2, finished: 1 })
  })

  it('reports its start, progress and end to the operator', async () => {
    await addTasks(ada, { tasks: 500, logs: 5 })
    await ada.caller().account.remove()
    const under = await readErasures(house.database.ownerUrl)
    expect(under.open).toEqual([
      expect.objectContaining({
        parent: 'auth.users',
        key: { id: ada.userId },
        rows: 1_000,
        lastError: null,
      }),
    ])
    expect(erasureLines(under).join('\n')).toContain(`auth.users ${ada.userId}: 1000 rows since`)

    const logged: Record<string, unknown>[] = []
    const log = pino({}, { write: line => logged.push(JSON.parse(line)) })
    const eraser = createEraser({ ...house.services, log })
    const { registry } = createMetrics({ inFlight: () => 0, streams: () => 0, erasures: eraser.counts })
    eraser.wake()
    await expect.poll(() => openErasures(house), { timeout: 30_000 }).toBe(0)
    await eraser.stop()
    expect(logged.map(({ msg }) => msg)).toEqual([
      'deleting the rows of a removal',
      'finished deleting the rows of a removal',
    ])
    expect(logged.at(-1)).toMatchObject({ parent: 'auth.users', key: { id: ada.userId }, rows: 3_000 })
    const metrics = await registry.metrics()
    expect(metrics).toContain('rowhouse_erasures_finished_total 1')
    expect(metrics).toContain('rowhouse_erasures_rows_total 2000')
    expect((await readErasures(house.database.ownerUrl)).open).toEqual([])
  })

  it('is deleted with an organization without other members, however many rows that has', async () => {
    const { id } = await createOrganization(ada)
    const gone = await createActor(house, { name: 'A former member' })
    await house.owner.query(
      `insert into app.approvals (user_id, organization_id, kind, title, payload, payload_hash, requested_by, event_seq, organization_event_seq)
       select $1, $2, 'deploy', 'x', '{}', sha256('x'), 'session', n, n from generate_series(1, 3000) n`,
      [gone.userId, id],
    )
    await ada.caller().account.remove()
    expect(await refusalOf(ada.caller().organizations.get({ organizationId: id }))).toMatchObject(
      UNAUTHENTICATED,
    )
    await eraseEverything(house)
    const { rowCount } = await house.owner.query('select from auth.organizations where id = $1', [id])
    expect(rowCount).toBe(0)
    expect(await countRows(house, 'app.approvals', gone.userId)).toBe(0)
  })

  it('is removed as decider from approvals, also in batches', async () => {
    const bob = await createActor(house, { name: 'Bob' })
    await house.owner.query(
      `insert into app.approvals (user_id, kind, title, payload, payload_hash, requested_by, status, decided_by, decided_at, event_seq)
       select $1, 'deploy', 'x', '{}', sha256('x'), 'session', 'approved', $2, now(), n from generate_series(1, 3000) n`,
      [bob.userId, ada.userId],
    )
    await ada.caller().account.remove()
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    expect(await countRows(house, 'app.approvals', bob.userId)).toBe(3_000)
  })

  it('is removed in the same way by a plain delete of the user', async () => {
    await addTasks(ada, { tasks: 2_000 })
    await house.owner.query('delete from auth.users where id = $1', [ada.userId])
    expect(await refusalOf(ada.caller().account.me())).toMatchObject(UNAUTHENTICATED)
    const { rows } = await house.owner.query(
      'select email, name, image, removed_at from auth.users where id = $1',
      [ada.userId],
    )
    expect(rows).toEqual([
      {
        email: `removed-${ada.userId}@removed.invalid`,
        name: 'removed',
        image: null,
        removed_at: expect.any(Date),
      },
    ])
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
  })
})

it('a small account is deleted before account.remove answers', async () => {
  await addTasks(ada, { tasks: 20, logs: 10 })
  await ada.caller().account.remove()
  expect(await rowsOf(house, ada.userId)).toEqual([])
  const { rows } = await house.owner.query(
    `select row_count::int as count, finished_at is not null as done from app.erasures where key ->> 'id' = $1`,
    [ada.userId],
  )
  expect(rows).toEqual([{ count: expect.any(Number), done: true }])
})
