import { z } from 'zod'
import { selectUser } from '#server/db/rows.ts'
import { APPROVAL_REQUESTED_BY, MEMBER_ROLE } from '#server/db/values.ts'
import { id, text } from '#server/rpc/inputs.ts'

export const account = z.strictObject({
  user: selectUser.pick({ id: true, name: true, email: true, image: true }),
  credential: z.enum(APPROVAL_REQUESTED_BY),
  /** The organization in which the call acts, and the caller's role; null if there is none. */
  organization: z.strictObject({ id, role: z.enum(MEMBER_ROLE) }).nullable(),
  /** The scopes of the credential; a session has all of them. */
  scopes: z.array(z.string()).readonly(),
})

export const sessions = z.array(
  z.strictObject({
    id,
    current: z.boolean(),
    userAgent: z.string().nullable(),
    ipAddress: z.string().nullable(),
    createdAt: z.date(),
    expiresAt: z.date(),
  }),
)

/** A URL with which its bearer can download the whole account, until it expires or the session ends. */
export const exportUrl = z.strictObject({ url: z.string(), expiresAt: z.date() })

export const removedUser = z.strictObject({ id })

/** How many sessions were revoked. */
export const revoked = z.strictObject({ revoked: z.int() })

export const sessionId = z.strictObject({ id })

/** Required unless the session is recent. */
export const removeAccount = z.strictObject({ password: text(256).min(1).optional() }).prefault({})

export type Account = z.output<typeof account>
