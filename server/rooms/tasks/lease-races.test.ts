import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSecret, storedSecret } from '#server/crypto/bearer-secrets.ts'
import { anonymous, createActor, type House, openHouse, WORKER_KEY } from '#server/testing/actors.ts'
import { createClaimedTask, lapseLease } from '#server/testing/claims.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

describe('a claim that waits while another worker claims the task', () => {
  it.each(['own', 'operator’s'] as const)('does not claim it again: %s', async kind => {
    const owner = await createActor(house)
    const { id } = await owner.caller().tasks.create({ prompt: 'x' })
    const caller =
      kind === 'own' ? owner.caller() : anonymous(house, { authorization: `Bearer ${WORKER_KEY}` })
    // The transaction that locks the leases commits the other claim before the waiting claim reads the
    // leases.
    const late = whileWaiting(
      house,
      {
        locked: ['lock table app.task_leases in access exclusive mode', []],
        meanwhile: [
          [
            `select app.lease_task($1, $2, 'first', 60, $3, null, null)`,
            [owner.userId, id, storedSecret(createSecret('rhl_'))],
          ],
        ],
      },
      () => caller.tasks.claim({ worker: 'late' }),
    )
    expect(await late).toBeNull()
    const { rows } = await house.owner.query(
      'select worker, ended_at as "endedAt" from app.task_leases where task_id = $1',
      [id],
    )
    expect(rows).toEqual([{ worker: 'first', endedAt: null }])
  })
})

describe('a task past its maximum duration', () => {
  it('cannot be claimed, even before the sweep', async () => {
    const { owner, id } = await createClaimedTask(house, { options: { maxDurationSeconds: 60 } })
    await house.owner.query(`update app.tasks set started_at = now() - interval '2 minutes' where id = $1`, [
      id,
    ])
    await lapseLease(house, id)
    const operator = anonymous(house, { authorization: `Bearer ${WORKER_KEY}` })
    for (const caller of [owner.caller(), operator]) {
      expect(await caller.tasks.claim({ worker: 'w2' })).toBeNull()
    }
  })
})

describe('a worker that waits on a lock while its task is', () => {
  it.each([
    ['stopped', `status = 'stopped'`],
    ['removed', 'deleted_at = now(), deletion_id = app.new_id()'],
  ])('%s writes nothing', async (_, change) => {
    const { id, worker } = await createClaimedTask(house)
    const readTask = async () =>
      (await house.owner.query('select last_log_seq, progress, status from app.tasks where id = $1', [id]))
        .rows
    const [before] = await readTask()
    for (const call of [
      () => worker.tasks.logs.append({ taskId: id, entries: [{ type: 'info', message: 'late' }] }),
      () => worker.tasks.update({ id, progress: 50 }),
      () => worker.tasks.complete(),
    ]) {
      const late = whileWaiting<unknown>(
        house,
        { locked: [`update app.tasks set ${change} where id = $1`, [id]] },
        call,
      )
      expect(['lease_lost', 'not_found']).toContain((await refusalOf(late)).reason)
      // Restores the task for the next call.
      await house.owner.query(
        `update app.tasks t set status = 'processing', deleted_at = null, deletion_id = null, lease_id = l.id
         from app.task_leases l where t.id = $1 and l.task_id = t.id`,
        [id],
      )
      await house.owner.query('update app.task_leases set ended_at = null where task_id = $1', [id])
    }
    expect(await readTask()).toEqual([before])
  })
})

describe('a heartbeat', () => {
  it('fails if the lease ended while it waited on a lock', async () => {
    const { id, worker } = await createClaimedTask(house)
    const late = whileWaiting(
      house,
      { locked: ['update app.task_leases set ended_at = now() where task_id = $1', [id]] },
      () => worker.tasks.heartbeat(),
    )
    expect((await refusalOf(late)).reason).toBe('lease_lost')
  })

  it('in time is kept by a sweep that waited on a lock for it', async () => {
    const { id, worker } = await createClaimedTask(house)
    await lapseLease(house, id)
    const swept = await whileWaiting(
      house,
      {
        locked: [
          `update app.task_leases set expires_at = now() + interval '1 minute' where task_id = $1`,
          [id],
        ],
      },
      () => house.services.pools.system.sweepLeases(),
    )
    expect(swept.map(({ taskId }) => taskId)).not.toContain(id)
    expect((await worker.tasks.heartbeat()).stop).toBe(false)
  })
})
