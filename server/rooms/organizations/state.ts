// Who may do what in an organization. The functions in migrations/0009_organization_procedures.sql and 0010_invitations.sql
// hold callers to it; buttons look here.

import { MEMBER_ROLE } from '#server/db/values.ts'

export const ROLES = MEMBER_ROLE

export type Role = (typeof ROLES)[number]

/**
 * Action → the roles that may take it: Better Auth's rules for its organizations, and what it has no rule for. Making, lowering,
 * removing or inviting an owner is the owners' alone, whatever it says here.
 */
export const ROLE_PERMISSIONS = Object.freeze({
  read: ['owner', 'admin', 'member'],
  leave: ['owner', 'admin', 'member'],
  update: ['owner', 'admin'],
  /** What the organization requires of its members. */
  updatePolicy: ['owner'],
  remove: ['owner'],
  restore: ['owner'],
  updateRole: ['owner', 'admin'],
  removeMember: ['owner', 'admin'],
  invite: ['owner', 'admin'],
  cancelInvitation: ['owner', 'admin'],
  listInvitations: ['owner', 'admin'],
}) satisfies Readonly<Record<string, readonly Role[]>>

export type OrganizationAction = keyof typeof ROLE_PERMISSIONS

/** Whether a member of this role may take an action; where it concerns another member, of `target`'s role. */
export function isRoleAllowed(role: Role, action: OrganizationAction, target: Role = 'member'): boolean {
  const allowed: readonly Role[] = ROLE_PERMISSIONS[action]
  return allowed.includes(role) && (target !== 'owner' || role === 'owner')
}
