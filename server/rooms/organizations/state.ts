// The permissions of each role in an organization. The functions in
// migrations/0009_organization_procedures.sql and 0011_invitations.sql enforce them; buttons read this table.

import { MEMBER_ROLE } from '#server/db/values.ts'

export const ROLES = MEMBER_ROLE

export type Role = (typeof ROLES)[number]

/**
 * The roles that may take each action: Better Auth's rules, and ours for other actions. Only an owner may
 * appoint, demote, remove or invite an owner, whatever this table says.
 */
export const ROLE_PERMISSIONS = Object.freeze({
  read: ['owner', 'admin', 'member'],
  leave: ['owner', 'admin', 'member'],
  update: ['owner', 'admin'],
  /** The required second factor, and whether deciders may decide their own requests. */
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

/**
 * Whether a member with this role may take an action, on a member with the role `target` if the action
 * concerns one.
 */
export function isRoleAllowed(role: Role, action: OrganizationAction, target: Role = 'member'): boolean {
  const allowed: readonly Role[] = ROLE_PERMISSIONS[action]
  return allowed.includes(role) && (target !== 'owner' || role === 'owner')
}
