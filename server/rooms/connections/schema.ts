import { z } from 'zod'
import { selectConnection } from '#server/db/rows.ts'
import { CONNECTION_PROVIDER, CONNECTION_STATUS } from '#server/db/values.ts'
import { filledText, id, text } from '#server/rpc/inputs.ts'

export const PROVIDERS = CONNECTION_PROVIDER
export type ProviderName = (typeof PROVIDERS)[number]

export const CONNECTION_STATUSES = CONNECTION_STATUS
export type ConnectionStatus = (typeof CONNECTION_STATUSES)[number]

/** A connection's settings, by provider. Webhooks may change them. */
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

/** A connection as its owner sees it. */
export const connection = selectConnection
  .pick({
    id: true,
    provider: true,
    /** The provider's id of the workspace, installation, team or organization. */
    externalId: true,
    name: true,
    icon: true,
    scopes: true,
    /** When the current token expires; it is refreshed automatically. Null if it never expires. */
    expiresAt: true,
    status: true,
    connectedAt: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({
    settings: z.union(Object.values(CONNECTION_SETTINGS)),
    /** The tokens cannot be decrypted with the server's keys: connect the account again. */
    unreadable: z.boolean(),
  })
export const connections = z.array(connection)

export const providers = z.array(
  z.strictObject({
    provider: z.enum(PROVIDERS),
    /** Whether the operator configured this provider. */
    configured: z.boolean(),
    /** The scopes that are requested of the user. */
    scopes: z.array(z.string()).readonly(),
  }),
)

/** The provider's page that asks the user for consent. */
export const consent = z.strictObject({ url: z.string() })

const notionDatabase = z.strictObject({
  id: z.string(),
  name: z.string(),
  url: z.string().nullable(),
  /** An emoji; null if there is none, or if the icon is a picture. */
  icon: z.string().nullable(),
})
export const notionDatabases = z.array(notionDatabase)
export const selectedDatabase = z.strictObject({ databaseId: z.string(), databaseName: z.string() })

const gitHubRepository = z.strictObject({
  id: z.number(),
  fullName: z.string(),
  isPrivate: z.boolean(),
  defaultBranch: z.string(),
  url: z.string(),
})
export const gitHubRepositories = z.array(gitHubRepository)

const slackChannel = z.strictObject({
  id: z.string(),
  name: z.string(),
  isPrivate: z.boolean(),
  /** Whether the app's bot is a member of the channel, and so can read and write there. */
  isMember: z.boolean(),
})
export const slackChannels = z.array(slackChannel)

const linearTeam = z.strictObject({
  id: z.string(),
  /** The prefix of its issues, such as ENG. */
  key: z.string(),
  name: z.string(),
})
export const linearTeams = z.array(linearTeam)

export const authorize = z.strictObject({
  provider: z.enum(PROVIDERS),
  /** A path of this application, or a URL of an allowed origin. */
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

export type Connection = z.output<typeof connection>
export type ProviderSummary = z.output<typeof providers>[number]
export type NotionDatabase = z.output<typeof notionDatabase>
export type GitHubRepository = z.output<typeof gitHubRepository>
export type SlackChannel = z.output<typeof slackChannel>
export type LinearTeam = z.output<typeof linearTeam>
export type Authorize = z.output<typeof authorize>
