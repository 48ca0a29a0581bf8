import { z } from 'zod'
import { email, id, imageUrl, label } from '../inputs.ts'
import { ROLES } from './state.ts'

export const name = label(100)
export const slug = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be lower-case letters and digits, joined by single hyphens')
export const role = z.enum(ROLES)

export const organizationId = z.strictObject({ organizationId: id })

export const createOrganization = z.strictObject({ name, slug, logo: imageUrl.optional() })

export const updateOrganization = z.strictObject({
  organizationId: id,
  name: name.optional(),
  slug: slug.optional(),
  logo: imageUrl.nullable().optional(),
  /** Whether members need a second factor to act in the organization. */
  requireTwoFactor: z.boolean().optional(),
  /** Whether those who decide approvals may decide their own. */
  allowSelfApproval: z.boolean().optional(),
})

/** Another slug, where somebody took the old one meanwhile. */
export const restoreOrganization = z.strictObject({ organizationId: id, slug: slug.optional() })

/** Null for none: the session then acts for its user alone. */
export const setActiveOrganization = z.strictObject({ organizationId: id.nullable() })

export const member = z.strictObject({ organizationId: id, userId: id })

export const updateMemberRole = z.strictObject({ organizationId: id, userId: id, role })

export const createInvitation = z.strictObject({
  organizationId: id,
  email,
  role,
})

export const invitationId = z.strictObject({ id })

/** Without an organization: the invitations that the caller received. */
export const listInvitations = z.strictObject({ organizationId: id.optional() }).prefault({})

export type CreateOrganization = z.output<typeof createOrganization>
export type UpdateOrganization = z.output<typeof updateOrganization>
export type CreateInvitation = z.output<typeof createInvitation>
export type UpdateMemberRole = z.output<typeof updateMemberRole>
