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
      'lastLogSeq',
      'lastMessageSeq',
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
    columns: ['userId', 'id', 'taskId', 'seq', 'role', 'content', 'status', 'createdAt', 'updatedAt'],
  }),
])
