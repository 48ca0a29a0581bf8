import { z } from 'zod'
import { filledText, id } from '../inputs.ts'
import { SCOPES } from '../scopes.ts'

const MAX_GRACE_SECONDS = 7 * 24 * 60 * 60
const LAST_DAY = new Date('9999-12-31T00:00:00Z')

export const tokenId = z.strictObject({ id })

export const createToken = z.strictObject({
  name: filledText(100),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .max(SCOPES.length)
    .refine(scopes => new Set(scopes).size === scopes.length, 'must not repeat a scope'),
  expiresAt: z
    .date()
    .max(LAST_DAY)
    .refine(date => date.getTime() > Date.now(), 'must be in the future')
    .optional(),
  organizationId: id.optional(),
})

export const rotateToken = z.strictObject({
  id,
  /** How long the old token goes on working. */
  graceSeconds: z.int().min(0).max(MAX_GRACE_SECONDS).default(0),
})

export type CreateToken = z.output<typeof createToken>
export type RotateToken = z.output<typeof rotateToken>
