import { createSecret, credentialOf, storedSecret } from '#server/crypto/bearer-secrets.ts'
import type { House } from '../actors.ts'
import { insertOne } from './dataset-rows.ts'

export interface Lease {
  readonly id: string
  readonly secret: string
  readonly authorization: string
  /** What travels to the database. */
  readonly credential: string
}

/** Gives a task to a worker: of the operator's, unless a token or a session of the owner's claimed it. */
export async function createLease(
  house: House,
  claim: { userId: string; taskId: string; worker?: string; apiTokenId?: string; sessionId?: string },
): Promise<Lease> {
  const secret = createSecret('rhl_')
  const id = await insertOne(
    house,
    `insert into app.task_leases
       (user_id, task_id, worker, credential_hash, api_token_id, session_id, lease_seconds, expires_at)
     values ($1, $2, $3, $4, $5, $6, 600, now() + interval '10 minutes') returning id`,
    [
      claim.userId,
      claim.taskId,
      claim.worker ?? 'a worker',
      storedSecret(secret),
      claim.apiTokenId ?? null,
      claim.sessionId ?? null,
    ],
  )
  await house.owner.query(
    `update app.tasks set status = 'processing', lease_id = $3, started_at = now() where user_id = $1 and id = $2`,
    [claim.userId, claim.taskId, id],
  )
  return { id, secret, authorization: `Bearer ${secret}`, credential: credentialOf(secret, 'rhl_') }
}

/** A lease for a new task of this user's that has no rows and says nothing. */
export async function createLeaseForNewTask(
  house: House,
  claim: { userId: string; apiTokenId?: string; sessionId?: string },
): Promise<Lease & { taskId: string }> {
  const taskId = await insertOne(
    house,
    `insert into app.tasks (user_id, title, prompt) values ($1, 'another', 'another') returning id`,
    [claim.userId],
  )
  return { ...(await createLease(house, { ...claim, taskId })), taskId }
}
