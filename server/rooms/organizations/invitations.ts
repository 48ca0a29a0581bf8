import { type RawBuilder, sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { notFound } from '#server/rpc/errors.ts'
import { callOrganizations } from './queries.ts'
import type { CreateInvitation, Invitation, Organization } from './schema.ts'

/**
 * Creates an invitation and mails a link; cancels an earlier invitation of the same address. Throws
 * `role_too_low`, `unique_violation` if the address is a member's, and `rate_limited` if the address received
 * too many invitations within an hour, or the caller sent too many.
 */
export async function createInvitation(
  identity: Identity,
  invite: {
    db: Database
    services: Pick<Services, 'mailInvitation' | 'maxMailsPerHour'>
    input: CreateInvitation
  },
): Promise<Invitation> {
  const { organizationId, email, role } = invite.input
  const { maxMailsPerHour } = invite.services
  const call = sql`app.create_invitation(${organizationId}::uuid, ${email}, ${role}, ${maxMailsPerHour}::integer)`
  const [invitation] = await callInvitations(invite.db, call)
  if (!invitation) throw notFound('organization')
  invite.services.mailInvitation(identity, invitation)
  return invitation
}

/**
 * Lists an organization's pending invitations, for its admins and owners; without an organization, those that
 * the caller received at their verified address. Throws `role_too_low` for members.
 */
export async function listInvitations(
  db: Database,
  { organizationId }: { organizationId?: string | undefined },
): Promise<Invitation[]> {
  if (organizationId === undefined) return callInvitations(db, sql`app.list_invitations(null)`)
  return callInvitations(db, sql`app.list_invitations(${organizationId}::uuid)`)
}

/** Cancels an invitation. Throws `illegal_transition` if it was already answered or cancelled. */
export async function cancelInvitation(db: Database, id: string): Promise<Invitation> {
  return found(await callInvitations(db, sql`app.cancel_invitation(${id}::uuid)`))
}

/**
 * Makes the caller a member. Throws `email_not_verified` before any lookup, and `illegal_transition` if the
 * invitation was answered or cancelled, or has expired.
 */
export async function acceptInvitation(db: Database, id: string): Promise<Organization> {
  const [organization] = await callOrganizations(db, sql`app.accept_invitation(${id}::uuid)`)
  if (!organization) throw notFound('invitation')
  return organization
}

/** Throws like {@link acceptInvitation}. */
export async function declineInvitation(db: Database, id: string): Promise<Invitation> {
  return found(await callInvitations(db, sql`app.decline_invitation(${id}::uuid)`))
}

function callInvitations(db: Database, call: RawBuilder<unknown>): Promise<Invitation[]> {
  return db.selectFrom(sql<Invitation>`${call}`.as('invitation')).selectAll().execute()
}

function found([invitation]: Invitation[]): Invitation {
  if (!invitation) throw notFound('invitation')
  return invitation
}
