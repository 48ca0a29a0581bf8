import { z } from 'zod'
import { selectUser } from '#server/db/rows.ts'
import { APPROVAL_REQUESTED_BY, MEMBER_ROLE } from '#server/db/values.ts'
import { id, text } from '#server/rpc/inputs.ts'

export const account = z.strictObject({
  user: selectUser.pick({ id: true, name: true, email: true, image: true }),
  credential: z.enum(APPROVAL_REQUESTED_BY),
  /** Where the caller acts, and as what; null for nowhere. */
  organization: z.strictObject({ id, role: z.enum(MEMBER_ROLE) }).nullable(),
  /** What the credential allows: a session, everything. */
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

/** An address that gives its bearer the whole account until then, or until the session ends. */
export const exportUrl = z.strictObject({ url: z.string(), expiresAt: z.date() })

export const removedUser = z.strictObject({ id })

/** How many sessions were ended. */
export const revoked = z.strictObject({ revoked: z.int() })

export const sessionId = z.strictObject({ id })

/** Without a password, the session itself must be young. */
export const removeAccount = z.strictObject({ password: text(256).min(1).optional() }).prefault({})

export type Account = z.output<typeof account>
