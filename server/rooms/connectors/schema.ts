import { z } from 'zod'
import { selectConnector } from '#server/db/rows.ts'
import { CONNECTOR_KIND, CONNECTOR_STATUS } from '#server/db/values.ts'
import { filledText, id, jsonValue, text, url } from '#server/rpc/inputs.ts'

export const CONNECTOR_KINDS = CONNECTOR_KIND
export const CONNECTOR_STATUSES = CONNECTOR_STATUS

/** The parts of a connector that are stored sealed and returned only to workers. */
export const SECRET_FIELDS = ['env', 'headers', 'oauthClientId', 'oauthClientSecret'] as const
export type SecretField = (typeof SECRET_FIELDS)[number]

/** A connector's secrets, as a worker reads them. */
export const connectorSecrets = z.strictObject({
  env: z.record(z.string(), z.string()),
  headers: z.record(z.string(), z.string()),
  oauthClientId: z.string().nullable(),
  oauthClientSecret: z.string().nullable(),
  /** The stored secrets that cannot be decrypted. Set them again. */
  unreadable: z.array(z.enum(SECRET_FIELDS)),
})
export type ConnectorSecrets = z.output<typeof connectorSecrets>

/** A connector as its owner sees it: which secrets are set, without their values. */
export const connector = selectConnector
  .pick({
    id: true,
    name: true,
    kind: true,
    /** The command of a local connector. */
    command: true,
    args: true,
    /** The URL of a remote connector. */
    url: true,
    status: true,
    lastCheckedAt: true,
    lastError: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({
    envNames: z.array(z.string()),
    headerNames: z.array(z.string()),
    hasOauthClientId: z.boolean(),
    hasOauthClientSecret: z.boolean(),
    /** The stored secrets that cannot be decrypted. Set them again. */
    unreadable: z.array(z.enum(SECRET_FIELDS)),
    /** The tools that the server listed when it was last checked. */
    tools: z.array(jsonValue),
  })
export const connectors = z.array(connector)

const offeredTool = z.strictObject({
  name: z.string(),
  description: z.string().nullable(),
  /** A JSON schema as the server sent it, neither validated nor compiled. */
  inputSchema: z.record(z.string(), z.unknown()),
})

export const connectorCheck = z.strictObject({
  status: z.enum(CONNECTOR_STATUS),
  /** The server's tools; empty if it was not reached. */
  tools: z.array(offeredTool),
  /** Why the server was not reached. */
  error: z.string().optional(),
})
export type McpTool = z.output<typeof offeredTool>
export type CheckAnswer = z.output<typeof connectorCheck>
export type Connector = z.output<typeof connector>

const MAX_PAIRS = 50
const MAX_PAIRS_LENGTH = 64 * 1024
/** Names that superjson refuses to write. */
const UNWRITABLE_NAMES = ['constructor', 'prototype']
/** Headers that the HTTP client sets, so a connector must not. */
const TRANSPORT_HEADERS = [
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

function pairs(name: RegExp, value: z.core.$ZodType<string, string>) {
  return (
    z
      .custom<Record<string, string>>(hasNoProto, 'must not have a member named __proto__')
      // Checked before the names, because each rejected name adds an issue to the answer.
      .refine(hasFewNames, `must have at most ${MAX_PAIRS} names`)
      .pipe(
        z.record(
          z
            .string()
            .max(200)
            .regex(name)
            .refine(key => !UNWRITABLE_NAMES.includes(key), 'is a reserved name'),
          value,
        ),
      )
      .refine(record => lengthOf(record) <= MAX_PAIRS_LENGTH, 'is too large')
  )
}

/** Zod's record would drop the member silently. */
function hasNoProto(value: unknown): boolean {
  return typeof value !== 'object' || value === null || !Object.hasOwn(value, '__proto__')
}

function hasFewNames(value: unknown): boolean {
  return typeof value !== 'object' || value === null || Object.keys(value).length <= MAX_PAIRS
}

function lengthOf(record: Readonly<Record<string, string>>): number {
  return Object.entries(record).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
}

const env = pairs(/^[A-Za-z_][A-Za-z0-9_]*$/, text(16 * 1024))

const headers = pairs(
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/,
  z
    .string()
    .max(16 * 1024)
    .regex(/^[\t\x20-\x7e]*$/, 'must be printable ASCII'),
)
  .refine(hasDistinctNames, 'must not repeat a header')
  .refine(
    record => !Object.keys(record).some(name => TRANSPORT_HEADERS.includes(name.toLowerCase())),
    `must not have ${TRANSPORT_HEADERS.join(', ')}`,
  )

function hasDistinctNames(record: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(record).map(name => name.toLowerCase())
  return new Set(names).size === names.length
}

const name = filledText(100)
const command = filledText(1_024)
const args = z.array(text(4_096)).max(100)
/** Secrets belong in headers, because a URL is shown. */
const serverUrl = url.refine(hasNoCredentials, 'must hold no user name or password')
const oauthClientId = filledText(1_024)
const oauthClientSecret = filledText(4_096)

function hasNoCredentials(value: string): boolean {
  const parsed = URL.parse(value)
  return parsed !== null && parsed.username === '' && parsed.password === ''
}

const secrets = {
  env: env.optional(),
  headers: headers.optional(),
  oauthClientId: oauthClientId.optional(),
  oauthClientSecret: oauthClientSecret.optional(),
}

export const connectorId = z.strictObject({ id })

export const createConnector = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('local'), name, command, args: args.default([]), ...secrets }),
  z.strictObject({ kind: z.literal('remote'), name, url: serverUrl, ...secrets }),
])

/** An omitted secret keeps its value; null clears it. */
export const updateConnector = z.strictObject({
  id,
  name: name.optional(),
  command: command.optional(),
  args: args.optional(),
  url: serverUrl.optional(),
  env: env.nullish(),
  headers: headers.nullish(),
  oauthClientId: oauthClientId.nullish(),
  oauthClientSecret: oauthClientSecret.nullish(),
})

export type ConnectorKind = (typeof CONNECTOR_KINDS)[number]
export type ConnectorStatus = (typeof CONNECTOR_STATUSES)[number]
export type CreateConnector = z.output<typeof createConnector>
export type UpdateConnector = z.output<typeof updateConnector>
