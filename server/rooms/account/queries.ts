import { sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import type { CredentialKind } from '#server/db/identity.ts'
import { notFound } from '#server/rpc/errors.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import type { Account } from './schema.ts'

interface AccountRow {
  id: string
  name: string
  email: string
  image: string | null
  credential: CredentialKind
  organizationId: string | null
  organizationRole: 'owner' | 'admin' | 'member' | null
  scopes: string[] | null
}

interface SessionRow {
  id: string
  isCurrent: boolean
  userAgent: string | null
  ipAddress: string | null
  createdAt: Date
  expiresAt: Date
}

export async function getAccount(db: Database): Promise<Account> {
  const { credential, organizationId, organizationRole, scopes, ...user } = await db
    .selectFrom(sql<AccountRow>`app.current_account()`.as('account'))
    .selectAll()
    .executeTakeFirstOrThrow()
  return {
    user,
    credential,
    organization: organizationId && organizationRole ? { id: organizationId, role: organizationRole } : null,
    scopes: scopes ?? SCOPES,
  }
}

/** Lists the caller's sessions that have not expired, newest first. */
export function listSessions(db: Database) {
  return db
    .selectFrom(sql<SessionRow>`app.list_sessions()`.as('session'))
    .select(['id', 'isCurrent as current', 'userAgent', 'ipAddress', 'createdAt', 'expiresAt'])
    .execute()
}

/**
 * Whether the caller signed in within the last `minutes`, by the database's clock, which also set the time.
 */
export async function isFreshSignIn(db: Database, minutes: number): Promise<boolean> {
  const fresh = await db
    .selectFrom(sql<SessionRow>`app.list_sessions()`.as('session'))
    .select('id')
    .where('isCurrent', '=', true)
    .where('createdAt', '>', sql<Date>`now() - make_interval(mins => ${minutes})`)
    .executeTakeFirst()
  return fresh !== undefined
}

/** Revokes one of the caller's sessions, which may be the current one. */
export async function revokeSession(db: Database, id: string): Promise<{ revoked: number }> {
  const { isRevoked } = await db
    .selectNoFrom(sql<boolean>`app.revoke_session(${id})`.as('isRevoked'))
    .executeTakeFirstOrThrow()
  if (!isRevoked) throw notFound('session')
  return { revoked: 1 }
}

export function revokeOtherSessions(db: Database): Promise<{ revoked: number }> {
  return db.selectNoFrom(sql<number>`app.revoke_other_sessions()`.as('revoked')).executeTakeFirstOrThrow()
}

/**
 * Hides the caller and all their rows from everyone, and revokes their credentials. Returns the jobs that
 * delete the rows. Throws `last_owner` if an organization with other members would have no owner.
 */
export async function closeAccount(db: Database): Promise<readonly string[]> {
  const { jobs } = await db
    .selectNoFrom(sql<string[]>`app.remove_account()`.as('jobs'))
    .executeTakeFirstOrThrow()
  return jobs
}
