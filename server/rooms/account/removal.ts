import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { revokeRemoved } from '#server/rooms/connections/leaving.ts'
import { listHeldConnections } from '#server/rooms/connections/queries.ts'
import { AppError } from '#server/rpc/errors.ts'
import { eraseAtOnce } from '#server/system/eraser.ts'
import { closeAccount, isFreshSignIn } from './queries.ts'

const FRESH_MINUTES = 10
const ATTEMPTS = { limit: 10, windowSeconds: 15 * 60 }

export interface Removal {
  readonly db: Database
  readonly services: Pick<Services, 'keyring' | 'log' | 'pools' | 'providers' | 'verifyPassword'>
  readonly password: string | undefined
}

/**
 * Removes the caller's account. Requires the password or a recent sign-in, because a stolen session must not
 * be enough: throws `invalid_input` otherwise, and `rate_limited` after ten attempts in 15 minutes. Holds no
 * transaction open while the password is hashed. When this returns, the account is hidden from everyone. Few
 * rows are deleted before that, many in the background. Revokes the user's connections at the providers,
 * unless a provider does not answer in time.
 */
export async function removeAccount(identity: Identity, removal: Removal): Promise<{ id: string }> {
  await takeAttempt(identity, removal)
  await confirm(identity, removal)
  const connections = await listHeldConnections(removal.db)
  const jobs = await closeAccount(removal.db)
  await eraseAtOnce(removal.services, jobs)
  // After the removal: a refused removal must not revoke connections.
  await revokeRemoved(identity, removal.services, connections)
  return { id: identity.userId }
}

async function takeAttempt({ userId }: Identity, { services }: Removal): Promise<void> {
  const { limit, windowSeconds } = ATTEMPTS
  const key = `account.remove:${userId}`
  const { isAllowed, retryAfterSeconds } = await services.pools.system.takeRateLimit(
    key,
    limit,
    windowSeconds,
  )
  if (isAllowed) return
  const retryAt = new Date(Date.now() + retryAfterSeconds * 1_000)
  throw new AppError('rate_limited', 'too many attempts to remove this account: try again later', { retryAt })
}

async function confirm({ userId }: Identity, { db, services, password }: Removal): Promise<void> {
  if (password !== undefined) {
    if (await services.verifyPassword(userId, password)) return
    throw new AppError('invalid_input', 'the password is wrong')
  }
  if (await isFreshSignIn(db, FRESH_MINUTES)) return
  throw new AppError(
    'invalid_input',
    `this session is older than ${FRESH_MINUTES} minutes: send the password, or sign in again`,
  )
}
