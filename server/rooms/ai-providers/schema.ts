import { z } from 'zod'
import { selectAiProviderConfig } from '#server/db/rows.ts'
import { filledText, id, text, url } from '#server/rpc/inputs.ts'

const MAX_CREDENTIALS = 8_192

const name = filledText(100)
const model = filledText(200)
const provider = z
  .string()
  .max(50)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'must be lower-case letters and digits, joined by single hyphens')

/** Trims white space, which comes from pasting the key. */
const credentials = text(MAX_CREDENTIALS)
  .transform(value => value.trim())
  .refine(value => value !== '', 'must not be empty')

/** The organization's own limits, stored for those who call the provider. */
const limits = z.strictObject({
  requestsPerMinute: z.int().min(0).optional(),
  tokensPerDay: z.int().min(0).optional(),
  costUsdPerMonth: z.number().min(0).max(1_000_000).optional(),
})

/** A provider as members see it, without its credentials. */
export const aiProvider = selectAiProviderConfig
  .pick({
    id: true,
    name: true,
    provider: true,
    baseUrl: true,
    model: true,
    /** The credentials' last characters: at most four, and fewer of short ones. */
    hint: true,
    isDefault: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({
    hasCredentials: z.boolean(),
    /** The stored credentials cannot be decrypted: set them again. */
    unreadable: z.boolean(),
    limits,
  })
export const aiProviders = z.array(aiProvider)

export const createAiProvider = z.strictObject({
  name,
  /** The vendor of the models or of the API that they use, such as `anthropic` or `openai`. */
  provider,
  baseUrl: url.optional(),
  model,
  credentials: credentials.optional(),
  limits: limits.default({}),
})

/** Null clears an optional field; an omitted field keeps its value. */
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

export type AiProvider = z.output<typeof aiProvider>
export type AiProviderLimits = z.output<typeof limits>
export type CreateAiProvider = z.output<typeof createAiProvider>
export type UpdateAiProvider = z.output<typeof updateAiProvider>
