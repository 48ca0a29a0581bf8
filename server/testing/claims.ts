// Tasks under a lease, for tests of workers and of the rights of a lease.

import type { TaskOptions } from '#server/rooms/tasks/schema.ts'
import type { Caller } from '#server/rpc/caller.ts'
import { type Actor, type ActorToken, anonymous, createActor, createApiToken, type House } from './actors.ts'
import { whileWaiting } from './while-waiting.ts'

export interface ClaimedTask {
  readonly owner: Actor
  readonly id: string
  readonly token: ActorToken
  readonly lease: string
  /** Calls the router under the lease. */
  readonly worker: Caller
}

/** Creates a task of a new user, claimed by their own worker. */
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
 * Starts a call, waits until it waits for the task's row, and then gives the task to another worker. Returns
 * the outcome of the call; throws if it did not wait.
 */
export function whileTaskChangesHands<T>(house: House, taskId: string, call: () => Promise<T>): Promise<T> {
  return whileWaiting(
    house,
    {
      locked: ['select from app.tasks where id = $1 for update', [taskId]],
      meanwhile: [
        ['update app.task_leases set ended_at = now() where task_id = $1 and ended_at is null', [taskId]],
        ['update app.tasks set lease_id = app.new_id() where id = $1', [taskId]],
      ],
    },
    call,
  )
}
