// Tasks under a lease, for tests about workers and about what a lease opens.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import type { Caller } from '../caller.ts'
import type { TaskOptions } from '../tasks/schema.ts'
import { type Actor, type ActorToken, anonymous, createActor, createApiToken, type House } from './actors.ts'

export interface ClaimedTask {
  readonly owner: Actor
  readonly id: string
  readonly token: ActorToken
  readonly lease: string
  /** Calls the router under the lease. */
  readonly worker: Caller
}

/** A task of a new user's, claimed by their own worker. */
export async function createClaimedTask(
  house: House,
  { leaseSeconds = 60, options = {} }: { leaseSeconds?: number; options?: TaskOptions } = {},
): Promise<ClaimedTask> {
  const owner = await createActor(house)
  const { id } = await owner.caller().tasks.create({ prompt: 'x', options })
  const token = await createApiToken(owner, { scopes: ['tasks:work'] })
  const claim = await token.caller().tasks.claim({ worker: 'w1', leaseSeconds })
  if (!claim) throw new Error('nothing was claimed')
  return { owner, id, token, lease: claim.lease, worker: callerUnder(house, claim.lease) }
}

export function callerUnder(house: House, lease: string): Caller {
  return anonymous(house, { authorization: `Bearer ${lease}` })
}

export async function lapseLease(house: House, taskId: string): Promise<void> {
  await house.owner.query(
    `update app.task_leases set expires_at = now() - interval '1 second' where task_id = $1`,
    [taskId],
  )
}

/**
 * Makes a call, lets it wait for the task's row, and gives the task to another worker meanwhile. Returns what came of the call,
 * and throws if it did not wait.
 */
export function whileTaskChangesHands<T>(house: House, taskId: string, call: () => Promise<T>): Promise<T> {
  return whileHeld(house, {
    hold: client => client.query('select from app.tasks where id = $1 for update', [taskId]),
    call,
    meanwhile: async client => {
      await client.query(
        'update app.task_leases set ended_at = now() where task_id = $1 and ended_at is null',
        [taskId],
      )
      await client.query('update app.tasks set lease_id = app.new_id() where id = $1', [taskId])
    },
  })
}

interface Held<T> {
  /** Takes the lock that the call waits for, in a transaction of the owner's. */
  readonly hold: (client: PoolClient) => Promise<unknown>
  readonly call: () => Promise<T>
  /** What that transaction does before it commits, once the call waits. */
  readonly meanwhile?: (client: PoolClient) => Promise<unknown>
}

/** Makes a call while a transaction holds a lock, which it lets go once the call waits for it. Throws if it did not wait. */
export async function whileHeld<T>(house: House, { hold, call, meanwhile }: Held<T>): Promise<T> {
  const blocker = await house.owner.connect()
  try {
    await blocker.query('begin')
    await hold(blocker)
    let isOver = false
    const late = call().finally(() => {
      isOver = true
    })
    late.catch(() => {})
    while (!(await blocksSomebody(blocker))) {
      if (isOver) throw new Error('the call did not wait', { cause: await late })
      await sleep(5)
    }
    await meanwhile?.(blocker)
    await blocker.query('commit')
    return await late
  } finally {
    // Closed rather than given back: where something failed, its transaction is still open.
    blocker.release(true)
  }
}

/** Asked of the locks: a transaction goes on seeing the sessions that it saw first. */
async function blocksSomebody(blocker: PoolClient): Promise<boolean> {
  const { rows } = await blocker.query(
    'select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid)) limit 1',
  )
  return rows.length > 0
}
