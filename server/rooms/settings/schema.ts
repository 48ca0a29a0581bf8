import { z } from 'zod'
import { text } from '#server/rpc/inputs.ts'

const MAX_LIMIT = 1_000_000

/** The type of each known setting. A limit can only lower the operator's. */
export const SETTINGS = {
  maxMessagesPerDay: z.int().min(0).max(MAX_LIMIT),
  maxTasksPerDay: z.int().min(0).max(MAX_LIMIT),
  theme: z.enum(['light', 'dark', 'system']),
  timezone: text(64).refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin'),
  locale: text(35).refine(isLocale, 'must be a BCP 47 language tag such as en-GB'),
} as const

export type Settings = { [K in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[K]> }
export type SettingKey = keyof Settings

const KEYS = Object.keys(SETTINGS) as [SettingKey, ...SettingKey[]]

/** The settings that are set. */
export const settings = z.strictObject(SETTINGS).partial()
/** A setting's value; null if it is not set. */
export const settingValue = z.union(Object.values(SETTINGS)).nullable()

export const settingKey = z.strictObject({ key: z.enum(KEYS) })

export const setSetting = z.discriminatedUnion('key', [
  z.strictObject({ key: z.literal('maxMessagesPerDay'), value: SETTINGS.maxMessagesPerDay }),
  z.strictObject({ key: z.literal('maxTasksPerDay'), value: SETTINGS.maxTasksPerDay }),
  z.strictObject({ key: z.literal('theme'), value: SETTINGS.theme }),
  z.strictObject({ key: z.literal('timezone'), value: SETTINGS.timezone }),
  z.strictObject({ key: z.literal('locale'), value: SETTINGS.locale }),
])

export type SetSetting = z.output<typeof setSetting>

function isTimeZone(value: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value })
    return true
  } catch {
    return false
  }
}

function isLocale(value: string): boolean {
  try {
    return Intl.getCanonicalLocales(value).length === 1
  } catch {
    return false
  }
}
