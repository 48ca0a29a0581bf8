import { z } from 'zod'
import { selectInvitation, selectOrganization, selectUser } from '#server/db/rows.ts'
import { email, id, imageUrl, label } from '#server/rpc/inputs.ts'
import { ROLES } from './state.ts'

export const name = label(100)
export const slug = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be lower-case letters and digits, joined by single hyphens')
export const role = z.enum(ROLES)

export const organization = selectOrganization
  .pick({
    id: true,
    name: true,
    slug: true,
    logo: true,
    requireTwoFactor: true,
    allowSelfApproval: true,
    createdAt: true,
  })
  .extend({
    /** The caller's role. */
    role,
  })
export const organizations = z.array(organization)
/** Null removes it. */
export const activeOrganization = organization.nullable()
export const removedOrganization = z.strictObject({ id, deletedAt: z.date() })
export const leftOrganization = z.strictObject({ id })

export const members = z.array(
  z.strictObject({ userId: id, name: z.string(), image: selectUser.shape.image, role }),
)

export const invitation = selectInvitation
  .pick({
    id: true,
    organizationId: true,
    email: true,
    role: true,
    status: true,
    expiresAt: true,
    createdAt: true,
  })
  .extend({ organizationName: z.string(), inviterName: z.string() })
export const invitations = z.array(invitation)

export const organizationId = z.strictObject({ organizationId: id })

export const createOrganization = z.strictObject({ name, slug, logo: imageUrl.optional() })

export const updateOrganization = z.strictObject({
  organizationId: id,
  name: name.optional(),
  slug: slug.optional(),
  logo: imageUrl.nullable().optional(),
  /** Whether members need a second factor to act in the organization. */
  requireTwoFactor: z.boolean().optional(),
  /** Whether owners and admins may decide their own requests. */
  allowSelfApproval: z.boolean().optional(),
})

/** A new slug, if the old one is taken by now. */
export const restoreOrganization = z.strictObject({ organizationId: id, slug: slug.optional() })

/** Null if the session should act for its user alone. */
export const setActiveOrganization = z.strictObject({ organizationId: id.nullable() })

export const member = z.strictObject({ organizationId: id, userId: id })

export const updateMemberRole = z.strictObject({ organizationId: id, userId: id, role })

export const createInvitation = z.strictObject({
  organizationId: id,
  email,
  role,
})

export const invitationId = z.strictObject({ id })

/** Omit it to list the invitations that the caller received. */
export const listInvitations = z.strictObject({ organizationId: id.optional() }).prefault({})

export type Organization = z.output<typeof organization>
export type Member = z.output<typeof members>[number]
export type Invitation = z.output<typeof invitation>
export type CreateOrganization = z.output<typeof createOrganization>
export type UpdateOrganization = z.output<typeof updateOrganization>
export type CreateInvitation = z.output<typeof createInvitation>
export type UpdateMemberRole = z.output<typeof updateMemberRole>
