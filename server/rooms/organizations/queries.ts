import { type RawBuilder, sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { SignInError } from '#server/db/errors.ts'
import { notFound } from '#server/rpc/errors.ts'
import type {
  CreateOrganization,
  Member,
  Organization,
  UpdateMemberRole,
  UpdateOrganization,
} from './schema.ts'
import type { Role } from './state.ts'

/**
 * Creates an organization and makes it active in the caller's session. Throws `unique_violation` if the slug
 * is taken.
 */
export async function createOrganization(db: Database, input: CreateOrganization): Promise<Organization> {
  const { name, slug, logo = null } = input
  return found(await callOrganizations(db, sql`app.create_organization(${name}, ${slug}, ${logo})`))
}

/** Lists the caller's organizations, newest first. */
export function listOrganizations(db: Database): Promise<Organization[]> {
  return callOrganizations(db, sql`app.own_organizations()`)
}

export async function getOrganization(db: Database, id: string): Promise<Organization> {
  return found(await callOrganizations(db, sql`app.own_organizations(${id}::uuid)`))
}

/** Updates the given fields only. Throws `role_too_low` for members, and for admins who change the policy. */
export async function updateOrganization(db: Database, input: UpdateOrganization): Promise<Organization> {
  const { organizationId, requireTwoFactor, allowSelfApproval, ...changes } = input
  const columns = JSON.stringify({
    ...changes,
    require_two_factor: requireTwoFactor,
    allow_self_approval: allowSelfApproval,
  })
  return found(
    await callOrganizations(db, sql`app.update_organization(${organizationId}::uuid, ${columns}::jsonb)`),
  )
}

/** Hides an organization from everyone, and disables its bound API tokens until it is restored. */
export async function removeOrganization(db: Database, id: string): Promise<{ id: string; deletedAt: Date }> {
  const row = await db
    .selectFrom(
      sql<{ id: string | null; deletedAt: Date }>`app.remove_organization(${id}::uuid)`.as('removed'),
    )
    .select(['id', 'deletedAt'])
    .executeTakeFirstOrThrow()
  if (row.id === null) throw notFound('organization')
  return { id: row.id, deletedAt: row.deletedAt }
}

/**
 * Restores an organization that was removed within the last 30 days. Throws `unique_violation` if its slug is
 * taken, and `illegal_transition` if it is not removed.
 */
export async function restoreOrganization(
  db: Database,
  input: { organizationId: string; slug?: string | undefined },
): Promise<Organization> {
  const { organizationId, slug } = input
  const call = sql`app.restore_organization(${organizationId}::uuid, ${slug ?? null}::text)`
  return found(await callOrganizations(db, call))
}

/** Ends the caller's membership. Throws `last_owner`. */
export async function leaveOrganization(db: Database, id: string): Promise<{ id: string }> {
  if (!(await callBoolean(db, sql`app.leave_organization(${id}::uuid)`))) throw notFound('organization')
  return { id }
}

/** Sets the organization in which the caller's session acts by default. */
export async function setActiveOrganization(db: Database, id: string | null): Promise<Organization | null> {
  const rows = await callOrganizations(db, sql`app.set_active_organization(${id}::uuid)`)
  return id === null ? null : found(rows)
}

/** Lists an organization's members, highest role first. */
export async function listMembers(db: Database, organizationId: string): Promise<Member[]> {
  const members = await db
    .selectFrom('auth.members')
    .innerJoin('auth.users', 'auth.users.id', 'auth.members.userId')
    .select([
      'auth.members.userId',
      'auth.users.name',
      'auth.users.image',
      sql<Role>`auth.members.role`.as('role'),
    ])
    .where('auth.members.organizationId', '=', organizationId)
    .orderBy(sql`array_position(array['owner', 'admin', 'member'], auth.members.role)`)
    .orderBy('auth.members.userId')
    .execute()
  if (members.length > 0) return members
  // A caller who acts in the organization sees at least themselves. No rows mean a member without the second
  // factor that the organization requires.
  await getOrganization(db, organizationId)
  throw new SignInError('two_factor_required')
}

/**
 * Throws `role_too_low` for members, and for admins if an owner is concerned; `last_owner` if no owner would
 * be left.
 */
export async function updateMemberRole(db: Database, input: UpdateMemberRole): Promise<UpdateMemberRole> {
  const { organizationId, userId, role } = input
  const call = sql`app.update_member_role(${organizationId}::uuid, ${userId}::uuid, ${role})`
  if (!(await callBoolean(db, call))) throw notFound('member')
  return { organizationId, userId, role }
}

/** Throws like {@link updateMemberRole}. */
export async function removeMember(
  db: Database,
  { organizationId, userId }: { organizationId: string; userId: string },
): Promise<{ organizationId: string; userId: string }> {
  if (!(await callBoolean(db, sql`app.remove_member(${organizationId}::uuid, ${userId}::uuid)`)))
    throw notFound('member')
  return { organizationId, userId }
}

/** Calls a function that returns rows of app.own_organization. */
export function callOrganizations(db: Database, call: RawBuilder<unknown>): Promise<Organization[]> {
  return db.selectFrom(sql<Organization>`${call}`.as('organization')).selectAll().execute()
}

async function callBoolean(db: Database, call: RawBuilder<unknown>): Promise<boolean> {
  const { isDone } = await db.selectNoFrom(sql<boolean>`${call}`.as('isDone')).executeTakeFirstOrThrow()
  return isDone
}

function found([organization]: Organization[]): Organization {
  if (!organization) throw notFound('organization')
  return organization
}
