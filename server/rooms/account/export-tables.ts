import { rows } from '#server/db/rows.ts'
import type { DB } from '#server/db/types.ts'

type ColumnOf<T extends keyof DB> = keyof DB[T] & string
/** The tables in `app` that hold a user's rows. */
type UserTable = {
  [T in keyof DB]: T extends `app.${string}` ? ('userId' extends keyof DB[T] ? T : never) : never
}[keyof DB]

/**
 * The columns of each table that an export omits: secrets, sealed or hashed; hashes and search indexes, which
 * only repeat other columns; and storage keys. All other columns are exported.
 */
const WITHHELD: { readonly [T in UserTable]: readonly ColumnOf<T>[] } = {
  'app.apiTokens': ['tokenHash'],
  'app.settings': [],
  'app.dailyUsage': [],
  'app.tasks': ['search'],
  'app.taskLogs': [],
  'app.taskMessages': [],
  'app.taskMessageDeltas': [],
  'app.taskEvents': [],
  // The credential that claimed the lease is omitted.
  'app.taskLeases': ['credentialHash', 'apiTokenId', 'sessionId'],
  'app.agentRuns': [],
  'app.toolCalls': ['argumentsHash'],
  'app.approvals': ['payloadHash'],
  'app.approvalSequences': [],
  'app.userTools': [],
  'app.providerKeys': ['value'],
  'app.connectors': ['env', 'headers', 'oauthClientId', 'oauthClientSecret'],
  'app.taskConnectors': [],
  'app.taskKeys': [],
  // The version and the claim are internal to the server's refresh.
  'app.connections': ['accessToken', 'refreshToken', 'tokenVersion', 'refreshClaim', 'refreshClaimedUntil'],
  'app.oauthStates': ['stateHash', 'sessionId', 'codeVerifier'],
  // What the server still has to do to the connection.
  'app.webhookEvents': ['effect'],
  'app.mediaItems': ['storageKey', 'hlsMasterPlaylistKey', 'thumbnailKey'],
  'app.content': ['search'],
}

/** The columns of the primary key after the owner, where that is not `id`. */
const KEYS: { readonly [T in UserTable as 'id' extends keyof DB[T] ? never : T]: readonly ColumnOf<T>[] } = {
  'app.taskLogs': ['taskId', 'seq'],
  'app.taskMessageDeltas': ['messageId', 'offset'],
  'app.taskEvents': ['taskId', 'seq'],
  'app.approvalSequences': ['userId'],
  'app.taskConnectors': ['taskId', 'connectorId'],
  'app.taskKeys': ['taskId', 'provider'],
}

export interface ExportedTable {
  readonly table: UserTable
  /** The sort order: the columns of the primary key after the owner. */
  readonly key: readonly string[]
  readonly columns: readonly string[]
  readonly withheld: readonly string[]
}

export const EXPORTED_TABLES: readonly ExportedTable[] = Object.entries(WITHHELD).map(([name, withheld]) => {
  const table = name as UserTable
  const columns = Object.keys(rows[table].select.shape).filter(
    column => !withheld.some(one => one === column),
  )
  return { table, key: table in KEYS ? KEYS[table as keyof typeof KEYS] : ['id'], columns, withheld }
})
