import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  type House,
  openHouse,
  WORKER_KEY,
} from '#server/testing/actors.ts'
import { callerUnder, createClaimedTask, lapseLease, whileTaskChangesHands } from '#server/testing/claims.ts'
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

const claimed = (options?: Parameters<typeof createClaimedTask>[1]) => createClaimedTask(house, options)
const under = (lease: string) => callerUnder(house, lease)
const lapse = (taskId: string) => lapseLease(house, taskId)

const entries = [{ type: 'info' as const, message: 'working' }]

describe('a claim', () => {
  it('returns the oldest pending task, or null if there is none', async () => {
    const owner = await createActor(house)
    const first = await owner.caller().tasks.create({ prompt: 'first' })
    const second = await owner.caller().tasks.create({ prompt: 'second' })
    const token = await createApiToken(owner, { scopes: ['tasks:work'] })
    const claims = [1, 2, 3].map(async n => (await token.caller().tasks.claim({ worker: `w${n}` }))?.task.id)
    expect(new Set(await Promise.all(claims))).toEqual(new Set([first.id, second.id, undefined]))
    expect(await owner.caller().tasks.get({ id: first.id })).toMatchObject({ status: 'processing' })
  })

  it('by many workers at once hands each task to exactly one of them', async () => {
    const owner = await createActor(house)
    const token = await createApiToken(owner, { scopes: ['tasks:work'] })
    const ids = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => (await owner.caller().tasks.create({ prompt: `${i}` })).id),
    )
    const taken = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const mine: string[] = []
        for (;;) {
          const claim = await token.caller().tasks.claim({ worker: 'w' })
          if (!claim) return mine
          mine.push(claim.task.id)
        }
      }),
    )
    expect(taken.flat().toSorted()).toEqual(ids.toSorted())
  })

  it('requires tasks:work, and returns only the caller’s own tasks', async () => {
    await ada.caller().tasks.create({ prompt: 'hers' })
    const reader = await createApiToken(bob, { scopes: ['tasks:write'] })
    const worker = await createApiToken(bob, { scopes: ['tasks:work'] })
    expect(await reasonOf(reader.caller().tasks.claim({ worker: 'w' }))).toBe('missing_scope')
    expect(await worker.caller().tasks.claim({ worker: 'w' })).toBeNull()
    expect(await reasonOf(anonymous(house).tasks.claim({ worker: 'w' }))).toBe('unauthenticated')
  })

  it.each([9, 601, 1.5])('rejects a lease of %s seconds', async leaseSeconds => {
    expect(await reasonOf(ada.caller().tasks.claim({ worker: 'w', leaseSeconds }))).toBe('BAD_REQUEST')
  })

  it('by the operator’s workers serves users in turn', async () => {
    const other = await openHouse()
    try {
      const [busy, quiet] = [await createActor(other), await createActor(other)]
      for (let i = 0; i < 5; i++) await busy.caller().tasks.create({ prompt: `${i}` })
      const waiting = await quiet.caller().tasks.create({ prompt: 'one' })
      const operator = anonymous(other, { authorization: `Bearer ${WORKER_KEY}` })
      const claims = [
        await operator.tasks.claim({ worker: 'op' }),
        await operator.tasks.claim({ worker: 'op' }),
      ]
      expect(claims.map(claim => claim?.task.id)).toContain(waiting.id)
      expect(await reasonOf(operator.tasks.list())).toBe('unauthenticated')
      expect(await reasonOf(operator.account.me())).toBe('unauthenticated')
    } finally {
      await other.close()
    }
  })
})

describe('a lease', () => {
  it('can read and write its own task, logs and messages, as the owner', async () => {
    const { owner, id, worker } = await claimed()
    await worker.tasks.logs.append({ taskId: id, entries })
    await worker.tasks.update({ id, progress: 50 })
    expect(await worker.tasks.get({ id })).toMatchObject({ progress: 50, lastLogSeq: 1 })
    expect((await owner.caller().tasks.logs.list({ taskId: id })).items).toMatchObject([
      { message: 'working' },
    ])
    expect((await worker.account.me()).credential).toBe('lease')
  })

  it('cannot access any other task, not even one of the same owner', async () => {
    const { owner, worker } = await claimed()
    const other = await owner.caller().tasks.create({ prompt: 'other' })
    expect(await reasonOf(worker.tasks.get({ id: other.id }))).toBe('not_found')
    expect(await reasonOf(worker.tasks.logs.append({ taskId: other.id, entries }))).toBe('not_found')
    expect(await reasonOf(worker.tasks.update({ id: other.id, progress: 1 }))).toBe('not_found')
  })

  it('is rejected by every procedure that does not accept leases', async () => {
    const { id, worker } = await claimed()
    const refused: (() => Promise<unknown>)[] = [
      () => worker.tasks.list(),
      () => worker.tasks.create({ prompt: 'x' }),
      () => worker.tasks.stop({ id }),
      () => worker.tasks.remove({ id }),
      () => worker.tasks.claim({ worker: 'w' }),
      () => worker.tasks.messages.send({ taskId: id, content: 'x' }),
      () => worker.settings.all(),
      () => worker.usage.today(),
      () => worker.apiTokens.list(),
    ]
    for (const call of refused) expect(await reasonOf(call())).toBe('missing_scope')
  })

  it('is the only credential that heartbeat, complete and fail accept', async () => {
    const token = await createApiToken(ada, { scopes: ['tasks:work', 'tasks:write'] })
    for (const caller of [ada.caller(), token.caller()]) {
      expect(await reasonOf(caller.tasks.heartbeat())).toBe('missing_scope')
      expect(await reasonOf(caller.tasks.complete())).toBe('missing_scope')
      expect(await reasonOf(caller.tasks.fail({ error: 'x' }))).toBe('missing_scope')
    }
  })

  it('is extended by a heartbeat', async () => {
    const { id, worker } = await claimed({ leaseSeconds: 30 })
    await house.owner.query(
      `update app.task_leases set expires_at = now() + interval '1 second' where task_id = $1`,
      [id],
    )
    const { expiresAt, stop } = await worker.tasks.heartbeat()
    expect(expiresAt.getTime()).toBeGreaterThan(Date.now() + 20_000)
    expect(stop).toBe(false)
  })

  it('ends when the task completes, and the result is stored', async () => {
    const { owner, id, worker } = await claimed()
    const done = await worker.tasks.complete({ result: { files: 3 } })
    expect(done).toMatchObject({ status: 'completed', progress: 100, result: { files: 3 } })
    expect(await reasonOf(worker.tasks.complete())).toBe('lease_lost')
    expect(await reasonOf(worker.tasks.logs.append({ taskId: id, entries }))).toBe('lease_lost')
    expect(await owner.caller().tasks.get({ id })).toEqual(done)
  })

  it.each([
    ['NUL', { a: 'x\0' }],
    ['a lone surrogate', ['\ud800']],
    ['a reserved property name', { constructor: 1 }],
    ['more than 256 KiB', 'x'.repeat(256 * 1024)],
  ])('cannot complete its task with a result that contains %s', async (_, result) => {
    const { worker } = await claimed()
    expect(await reasonOf(worker.tasks.complete({ result }))).toBe('BAD_REQUEST')
    expect(await worker.tasks.complete()).toMatchObject({ status: 'completed', result: null })
  })

  it('ends when the task fails, and the error is stored until a retry', async () => {
    const { owner, id, worker } = await claimed()
    expect(await worker.tasks.fail({ error: 'out of disk' })).toMatchObject({
      status: 'error',
      error: 'out of disk',
    })
    expect(await reasonOf(worker.tasks.heartbeat())).toBe('lease_lost')
    expect(await owner.caller().tasks.retry({ id })).toMatchObject({ status: 'pending', error: null })
  })

  it.each([
    [
      'its task was stopped',
      async ({ owner, id }: Awaited<ReturnType<typeof claimed>>) => {
        await owner.caller().tasks.stop({ id })
      },
    ],
    [
      'its token was revoked',
      async ({ owner, token }: Awaited<ReturnType<typeof claimed>>) => {
        await owner.caller().apiTokens.revoke({ id: token.id })
      },
    ],
    ['it lapsed', async ({ id }: Awaited<ReturnType<typeof claimed>>) => lapse(id)],
    [
      'the database owner removed its task',
      async ({ id }: Awaited<ReturnType<typeof claimed>>) => {
        await house.owner.query(
          'update app.tasks set deleted_at = now(), deletion_id = app.new_id() where id = $1',
          [id],
        )
      },
    ],
  ])('is rejected by the next statement after %s', async (_, end) => {
    const setting = await claimed()
    await end(setting)
    const { id, worker } = setting
    expect(await reasonOf(worker.tasks.heartbeat())).toBe('lease_lost')
    expect(await reasonOf(worker.tasks.logs.append({ taskId: id, entries }))).toBe('lease_lost')
    expect(await reasonOf(worker.tasks.get({ id }))).toBe('lease_lost')
  })

  it('that lapsed lets another worker claim the task, and the stale worker writes nothing', async () => {
    const { owner, id, token, worker } = await claimed()
    await worker.tasks.logs.append({ taskId: id, entries })
    expect(await token.caller().tasks.claim({ worker: 'w2' })).toBeNull()
    await lapse(id)
    const second = await token.caller().tasks.claim({ worker: 'w2' })
    expect(second?.task).toMatchObject({ id, status: 'processing' })
    expect(await reasonOf(worker.tasks.complete())).toBe('lease_lost')
    expect(await reasonOf(worker.tasks.logs.append({ taskId: id, entries }))).toBe('lease_lost')
    await under(second?.lease ?? '').tasks.logs.append({ taskId: id, entries })
    expect((await owner.caller().tasks.logs.list({ taskId: id })).lastSeq).toBe(2)
  })

  it('writes nothing if another worker claimed the task while the statement waited on a lock', async () => {
    const { id, worker } = await claimed()
    const late = whileTaskChangesHands(house, id, () => worker.tasks.logs.append({ taskId: id, entries }))
    expect(await reasonOf(late)).toBe('not_found')
  })

  it('ends at the task’s maximum duration, and so does its task', async () => {
    const { owner, id, worker } = await claimed({ leaseSeconds: 600, options: { maxDurationSeconds: 60 } })
    const { expiresAt, stop } = await worker.tasks.heartbeat()
    expect(expiresAt.getTime()).toBeLessThan(Date.now() + 61_000)
    expect(stop).toBe(true)
    await house.owner.query(`update app.tasks set started_at = now() - interval '2 minutes' where id = $1`, [
      id,
    ])
    await house.owner.query(`update app.task_leases set expires_at = now() where task_id = $1`, [id])
    await house.services.pools.system.sweepLeases()
    expect(await owner.caller().tasks.get({ id })).toMatchObject({
      status: 'error',
      error: 'the task exceeded its maximum duration',
    })
  })
})
