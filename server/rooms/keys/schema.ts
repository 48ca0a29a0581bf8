import { z } from 'zod'
import { selectProviderKey } from '#server/db/rows.ts'
import { PROVIDER_KEY_PROVIDER } from '#server/db/values.ts'
import { text } from '#server/rpc/inputs.ts'

export const PROVIDERS = PROVIDER_KEY_PROVIDER
export type Provider = (typeof PROVIDERS)[number]

const MAX_KEY = 4_096

export const keyRow = selectProviderKey.pick({
  provider: true,
  hint: true,
  lastUsedAt: true,
  createdAt: true,
  updatedAt: true,
})

/** What a caller sees of a key. Its value comes from `reveal` alone. */
export const providerKey = keyRow.extend({
  /** Whether the stored value does not open any more, so that the key must be set again. */
  unreadable: z.boolean(),
})
export const providerKeys = z.array(providerKey)
export const storedKey = providerKey.extend({
  /** What is odd about the key, which was stored all the same. */
  warning: z.string().nullable(),
})
export const keyValue = z.strictObject({ value: z.string() })

export const keyProvider = z.strictObject({ provider: z.enum(PROVIDERS) })

export const setKey = z.strictObject({
  provider: z.enum(PROVIDERS),
  /** White space around a key comes from pasting it and is cut off. */
  value: text(MAX_KEY)
    .transform(value => value.trim())
    .refine(value => value !== '', 'must not be empty'),
})

/** What each provider's keys usually look like: a reason to ask again, never to refuse. */
const FORMATS: Readonly<Record<Provider, { readonly pattern: RegExp; readonly hint: string }>> =
  Object.freeze({
    anthropic: { pattern: /^sk-ant-[\w-]{20,}$/, hint: '"sk-ant-"' },
    openai: { pattern: /^sk-(?!ant-)[\w-]{20,}$/, hint: '"sk-"' },
    cursor: { pattern: /^(key|crsr)_\w{20,}$/, hint: '"key_" or "crsr_"' },
    gemini: { pattern: /^(AIza[\w-]{35}|AQ\.[\w-]{20,})$/, hint: '"AIza"' },
    aigateway: { pattern: /^vck_\w{20,}$/, hint: '"vck_"' },
  })

/** What is odd about a key of this provider's, in words that hold nothing of it; null where it looks right. */
export function keyWarning(provider: Provider, value: string): string | null {
  const { pattern, hint } = FORMATS[provider]
  if (pattern.test(value)) return null
  return /\s/.test(value)
    ? 'the key contains white space: check that exactly the key was pasted'
    : `the key does not look like a "${provider}" key: those start with ${hint}, followed by 20 characters or more`
}

export type ProviderKey = z.output<typeof providerKey>
export type StoredKey = z.output<typeof storedKey>
export type SetKey = z.output<typeof setKey>
