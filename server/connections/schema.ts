import { z } from 'zod'
import { CONNECTION_PROVIDER, CONNECTION_STATUS } from '../db/values.ts'
import { filledText, id, text } from '../inputs.ts'

export const PROVIDERS = CONNECTION_PROVIDER
export type ProviderName = (typeof PROVIDERS)[number]

export const CONNECTION_STATUSES = CONNECTION_STATUS
export type ConnectionStatus = (typeof CONNECTION_STATUSES)[number]

/** What a connection keeps besides its tokens, by provider. Webhooks may add to it. */
export const CONNECTION_SETTINGS = {
  notion: z.object({ databaseId: z.string().optional(), databaseName: z.string().optional() }),
  github: z.object({
    accountLogin: z.string(),
    accountType: z.string(),
    repositorySelection: z.enum(['all', 'selected']),
    isSuspended: z.boolean(),
  }),
  slack: z.object({
    teamName: z.string(),
    botUserId: z.string().optional(),
    channelId: z.string().optional(),
    channelName: z.string().optional(),
  }),
  linear: z.object({ organizationName: z.string(), urlKey: z.string() }),
} as const satisfies Record<ProviderName, z.core.$ZodType>

export type ConnectionSettings<P extends ProviderName = ProviderName> = z.output<
  (typeof CONNECTION_SETTINGS)[P]
>

export const authorize = z.strictObject({
  provider: z.enum(PROVIDERS),
  /** A path of this application's, or an address of an allowed origin. */
  returnTo: filledText(2_000).optional(),
})

export const connectionId = z.strictObject({ id })
export const onConnection = z.strictObject({ connectionId: id })
export const searchDatabases = z.strictObject({ connectionId: id, search: text(200).optional() })
export const selectDatabase = z.strictObject({
  connectionId: id,
  databaseId: z
    .string()
    .regex(/^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i, "must be a Notion database's id"),
})

export type Authorize = z.output<typeof authorize>
