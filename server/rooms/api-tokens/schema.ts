import { z } from 'zod'
import { selectApiToken } from '#server/db/rows.ts'
import { filledText, id } from '#server/rpc/inputs.ts'
import { SCOPES } from '#server/rpc/scopes.ts'

const MAX_GRACE_SECONDS = 7 * 24 * 60 * 60
const LAST_DAY = new Date('9999-12-31T00:00:00Z')

/** A token as its owner sees it. No login can read its hash. */
export const apiToken = selectApiToken.pick({
  id: true,
  name: true,
  /** The token's first characters, so that its owner recognises it. */
  prefix: true,
  scopes: true,
  /** The only organization in which the token may act; null for all of its owner's. */
  organizationId: true,
  expiresAt: true,
  lastUsedAt: true,
  revokedAt: true,
  /** The token that replaced this one. */
  replacedBy: true,
  /** When a rotated token stops working. */
  graceUntil: true,
  createdAt: true,
})
export const apiTokens = z.array(apiToken)

export const newTokenRow = apiToken.pick({
  id: true,
  prefix: true,
  name: true,
  scopes: true,
  organizationId: true,
  expiresAt: true,
  createdAt: true,
})
export const newToken = newTokenRow.extend({
  /** The secret itself, which is not stored and cannot be shown again. */
  token: z.string(),
})

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
  /** How long the old token keeps working. */
  graceSeconds: z.int().min(0).max(MAX_GRACE_SECONDS).default(0),
})

export type ApiToken = z.output<typeof apiToken>
export type NewApiToken = z.output<typeof newToken>
export type CreateToken = z.output<typeof createToken>
export type RotateToken = z.output<typeof rotateToken>
