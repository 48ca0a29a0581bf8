import { z } from 'zod'
import { filledText, id, text, url } from '../inputs.ts'

const MAX_CREDENTIALS = 8_192

const name = filledText(100)
const model = filledText(200)
const provider = z
  .string()
  .max(50)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be lower-case letters and digits, joined by single hyphens')

/** White space around a key comes from pasting it and is cut off. */
const credentials = text(MAX_CREDENTIALS)
  .transform(value => value.trim())
  .refine(value => value !== '', 'must not be empty')

/** What the organization allows itself; kept for those who call the provider. */
const limits = z.strictObject({
  requestsPerMinute: z.int().min(0).optional(),
  tokensPerDay: z.int().min(0).optional(),
  costUsdPerMonth: z.number().min(0).max(1_000_000).optional(),
})

export const createAiProvider = z.strictObject({
  name,
  /** Whose models they are, or whose interface they speak: `anthropic`, `openai`. */
  provider,
  baseUrl: url.optional(),
  model,
  credentials: credentials.optional(),
  limits: limits.default({}),
})

/** Null clears what may be missing; what is left out stays. */
export const updateAiProvider = z.strictObject({
  id,
  name: name.optional(),
  provider: provider.optional(),
  baseUrl: url.nullable().optional(),
  model: model.optional(),
  credentials: credentials.nullable().optional(),
  limits: limits.optional(),
})

export const aiProviderId = z.strictObject({ id })

export type AiProviderLimits = z.output<typeof limits>
export type CreateAiProvider = z.output<typeof createAiProvider>
export type UpdateAiProvider = z.output<typeof updateAiProvider>
