import type { DB } from '../db/types.ts'

type AppTable = Extract<keyof DB, `app.${string}`>

/** One table of an export. Every column is in one of the lists, so that a new one is given out, or kept, on purpose. */
export interface ExportedTable {
  readonly table: AppTable
  /** What follows the owner in the primary key: the order of its rows. */
  readonly key: readonly string[]
  readonly columns: readonly string[]
  readonly withheld: readonly string[]
}

function exported<T extends AppTable>(
  table: T,
  lists: {
    key: readonly (keyof DB[T] & string)[]
    columns: readonly (keyof DB[T] & string)[]
    withheld?: readonly (keyof DB[T] & string)[]
  },
): ExportedTable {
  return { table, withheld: [], ...lists }
}

/** All tables in `app` that hold a user's rows. */
export const EXPORTED_TABLES: readonly ExportedTable[] = Object.freeze([
  exported('app.apiTokens', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'organizationId',
      'name',
      'prefix',
      'scopes',
      'expiresAt',
      'lastUsedAt',
      'revokedAt',
      'replacedBy',
      'graceUntil',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['tokenHash'],
  }),
  exported('app.settings', {
    key: ['id'],
    columns: ['userId', 'id', 'key', 'value', 'createdAt', 'updatedAt'],
  }),
  exported('app.dailyUsage', {
    key: ['id'],
    columns: ['userId', 'id', 'day', 'tasks', 'messages', 'createdAt', 'updatedAt'],
  }),
  exported('app.tasks', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'organizationId',
      'title',
      'prompt',
      'status',
      'progress',
      'repoUrl',
      'branchName',
      'sandboxUrl',
      'previewUrl',
      'prUrl',
      'prNumber',
      'prStatus',
      'prMergeCommitSha',
      'agent',
      'model',
      'agentSessionId',
      'sandboxId',
      'options',
      'error',
      'result',
      'lastLogSeq',
      'lastMessageSeq',
      'lastEventSeq',
      'leaseId',
      'startedAt',
      'completedAt',
      'deletedAt',
      'deletionId',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['search'],
  }),
  exported('app.taskLogs', {
    key: ['taskId', 'seq'],
    columns: ['userId', 'taskId', 'seq', 'type', 'message', 'at'],
  }),
  exported('app.taskMessages', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'taskId',
      'seq',
      'role',
      'content',
      'status',
      'length',
      'createdAt',
      'updatedAt',
    ],
  }),
  exported('app.taskMessageDeltas', {
    key: ['messageId', 'offset'],
    columns: ['userId', 'messageId', 'offset', 'text'],
  }),
  exported('app.taskEvents', {
    key: ['taskId', 'seq'],
    columns: ['userId', 'taskId', 'seq', 'kind', 'messageId', 'offset', 'at'],
  }),
  exported('app.taskLeases', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'taskId',
      'worker',
      'leaseSeconds',
      'expiresAt',
      'endedAt',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['credentialHash', 'apiTokenId', 'sessionId'],
  }),
  exported('app.agentRuns', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'taskId',
      'agent',
      'model',
      'provider',
      'status',
      'input',
      'output',
      'usage',
      'error',
      'startedAt',
      'finishedAt',
      'createdAt',
      'updatedAt',
    ],
  }),
  exported('app.toolCalls', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'runId',
      'callId',
      'tool',
      'arguments',
      'result',
      'error',
      'status',
      'startedAt',
      'finishedAt',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['argumentsHash'],
  }),
  exported('app.userTools', {
    key: ['id'],
    columns: ['userId', 'id', 'toolId', 'isEnabled', 'config', 'createdAt', 'updatedAt'],
  }),
  exported('app.providerKeys', {
    key: ['id'],
    columns: ['userId', 'id', 'provider', 'hint', 'lastUsedAt', 'createdAt', 'updatedAt'],
    withheld: ['value'],
  }),
  exported('app.connectors', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'name',
      'kind',
      'command',
      'args',
      'url',
      'status',
      'lastCheckedAt',
      'lastError',
      'tools',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['env', 'headers', 'oauthClientId', 'oauthClientSecret'],
  }),
  exported('app.taskConnectors', {
    key: ['taskId', 'connectorId'],
    columns: ['userId', 'taskId', 'connectorId', 'createdAt'],
  }),
  exported('app.taskKeys', {
    key: ['taskId', 'provider'],
    columns: ['userId', 'taskId', 'provider', 'createdAt'],
  }),
  exported('app.connections', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'organizationId',
      'provider',
      'externalId',
      'name',
      'icon',
      'scopes',
      'expiresAt',
      'botId',
      'settings',
      'status',
      'connectedAt',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['accessToken', 'refreshToken', 'tokenVersion', 'refreshClaim', 'refreshClaimedUntil'],
  }),
  exported('app.oauthStates', {
    key: ['id'],
    columns: ['userId', 'id', 'provider', 'returnTo', 'expiresAt', 'createdAt', 'updatedAt'],
    withheld: ['stateHash', 'sessionId', 'codeVerifier'],
  }),
  exported('app.webhookEvents', {
    key: ['id'],
    columns: [
      'userId',
      'id',
      'connectionId',
      'deliveryId',
      'provider',
      'eventType',
      'payload',
      'status',
      'attempts',
      'nextAttemptAt',
      'lastError',
      'processedAt',
      'createdAt',
      'updatedAt',
    ],
    withheld: ['effect'],
  }),
])
