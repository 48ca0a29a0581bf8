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

/** A key as its owner sees it. Only `reveal` returns its value. */
export const providerKey = keyRow.extend({
  /** The stored value cannot be decrypted: set the key again. */
  unreadable: z.boolean(),
})
export const providerKeys = z.array(providerKey)
export const storedKey = providerKey.extend({
  /** A sentence about an unusual key. The key is stored anyway. */
  warning: z.string().nullable(),
})
export const keyValue = z.strictObject({ value: z.string() })

export const keyProvider = z.strictObject({ provider: z.enum(PROVIDERS) })

export const setKey = z.strictObject({
  provider: z.enum(PROVIDERS),
  /** Trims white space, which comes from pasting the key. */
  value: text(MAX_KEY)
    .transform(value => value.trim())
    .refine(value => value !== '', 'must not be empty'),
})

/** The usual format of each provider's keys. Another format causes a warning, never an error. */
const FORMATS: Readonly<Record<Provider, { readonly pattern: RegExp; readonly hint: string }>> =
  Object.freeze({
    anthropic: { pattern: /^sk-ant-[\w-]{20,}$/, hint: '"sk-ant-"' },
    openai: { pattern: /^sk-(?!ant-)[\w-]{20,}$/, hint: '"sk-"' },
    cursor: { pattern: /^(key|crsr)_\w{20,}$/, hint: '"key_" or "crsr_"' },
    gemini: { pattern: /^(AIza[\w-]{35}|AQ\.[\w-]{20,})$/, hint: '"AIza"' },
    aigateway: { pattern: /^vck_\w{20,}$/, hint: '"vck_"' },
  })

/** A warning if the key does not match its provider's format, or null. Contains no part of the key. */
export function keyWarning(provider: Provider, value: string): string | null {
  const { pattern, hint } = FORMATS[provider]
  if (pattern.test(value)) return null
  return /\s/.test(value)
    ? 'the key contains white space: check that exactly the key was pasted'
    : `the key looks unlike "${provider}" keys: those start with ${hint}, then 20 characters or more`
}

export type ProviderKey = z.output<typeof providerKey>
export type StoredKey = z.output<typeof storedKey>
export type SetKey = z.output<typeof setKey>
