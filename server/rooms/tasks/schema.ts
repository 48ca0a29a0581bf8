import { z } from 'zod'
import { selectConnector, selectTask, selectTaskLog, selectTaskMessage } from '#server/db/rows.ts'
import { TASK_LOG_TYPE, TASK_MESSAGE_ROLE, TASK_MESSAGE_STATUS, TASK_PR_STATUS } from '#server/db/values.ts'
import { connectorSecrets } from '#server/rooms/connectors/schema.ts'
import { PROVIDERS } from '#server/rooms/keys/schema.ts'
import { filledText, id, json, page, pageOf, text, url } from '#server/rpc/inputs.ts'
import { TASK_STATUSES } from './state.ts'

export const LOG_TYPES = TASK_LOG_TYPE
export const MESSAGE_ROLES = TASK_MESSAGE_ROLE
export const MESSAGE_STATUSES = TASK_MESSAGE_STATUS
export const PULL_REQUEST_STATUSES = TASK_PR_STATUS

const MAX_PROMPT = 100_000
const MAX_DAY_SECONDS = 24 * 60 * 60

export const taskOptions = z.strictObject({
  installDependencies: z.boolean().optional(),
  maxDurationSeconds: z.int().min(1).max(MAX_DAY_SECONDS).optional(),
  keepAlive: z.boolean().optional(),
  browser: z.boolean().optional(),
})

/** The columns that a query reads of a task. */
export const taskRow = selectTask.pick({
  id: true,
  organizationId: true,
  title: true,
  prompt: true,
  status: true,
  progress: true,
  repoUrl: true,
  branchName: true,
  sandboxUrl: true,
  previewUrl: true,
  prUrl: true,
  prNumber: true,
  prStatus: true,
  prMergeCommitSha: true,
  agent: true,
  model: true,
  options: true,
  error: true,
  result: true,
  lastLogSeq: true,
  startedAt: true,
  completedAt: true,
  deletedAt: true,
  createdAt: true,
  updatedAt: true,
})

export const pullRequest = z.strictObject({
  url: z.string(),
  number: taskRow.shape.prNumber,
  status: taskRow.shape.prStatus,
  mergeCommitSha: taskRow.shape.prMergeCommitSha,
})

const PULL_REQUEST = { prUrl: true, prNumber: true, prStatus: true, prMergeCommitSha: true } as const

export const shownTask = taskRow.omit(PULL_REQUEST)

export const task = shownTask.extend({
  pullRequest: pullRequest.nullable(),
  options: taskOptions,
  /** The result that the worker sent with `complete`. */
  result: z.unknown(),
})
export const taskPage = pageOf(task)

export const claim = z
  .strictObject({
    task,
    /** The worker's credential for this task, valid until the lease ends. Shown once. */
    lease: z.string(),
    expiresAt: z.date(),
  })
  .nullable()

/** `stop`: the task's maximum duration leaves no time for another heartbeat. */
export const heartbeat = z.strictObject({ expiresAt: z.date(), stop: z.boolean() })

export const logEntry = selectTaskLog.pick({ seq: true, type: true, message: true, at: true })
export const lastLog = z.strictObject({ lastSeq: z.int() })
export const logPage = lastLog.extend({ items: z.array(logEntry) })

/** `content` of a streaming message holds the deltas so far. */
export const taskMessage = selectTaskMessage.pick({
  id: true,
  taskId: true,
  seq: true,
  role: true,
  content: true,
  status: true,
  createdAt: true,
  updatedAt: true,
})
export const messagePage = pageOf(taskMessage)
export const startedMessage = taskMessage.pick({ id: true })
/** In UTF-16 code units. */
export const messageLength = z.strictObject({ length: z.int() })

const taskKey = z.strictObject({
  provider: z.enum(PROVIDERS),
  /** Null if no key of this provider is set, or if the key cannot be decrypted. */
  value: z.string().nullable(),
  unreadable: z.boolean(),
})

const taskConnector = selectConnector
  .pick({ id: true, name: true, kind: true, command: true, args: true, url: true })
  .extend(connectorSecrets.shape)

export const taskSecrets = z.strictObject({ keys: z.array(taskKey), connectors: z.array(taskConnector) })

const MAX_CONNECTORS = 50

function isDistinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length
}

export const taskId = z.strictObject({ id })

export const createTask = z.strictObject({
  prompt: filledText(MAX_PROMPT),
  title: filledText(200).optional(),
  repoUrl: url.optional(),
  agent: filledText(100).optional(),
  model: filledText(100).optional(),
  options: taskOptions.optional(),
  /** The connectors that the task's worker may read. */
  connectorIds: z
    .array(id.toLowerCase())
    .max(MAX_CONNECTORS)
    .refine(isDistinct, 'must not repeat a connector')
    .optional(),
  /** The providers whose keys the task's worker may read. A key may be set later. */
  keyProviders: z
    .array(z.enum(PROVIDERS))
    .max(PROVIDERS.length)
    .refine(isDistinct, 'must not repeat a provider')
    .optional(),
  organizationId: id.optional(),
})

/** The fields of a new task's row that come from the input unchanged. */
export const newTaskRow = createTask.omit({ connectorIds: true, keyProviders: true })

export const listTasks = z.strictObject({
  status: z.enum(TASK_STATUSES).optional(),
  search: text(200).optional(),
  deleted: z.enum(['exclude', 'include', 'only']).default('exclude'),
  ...page(id),
})

export const updateTask = z.strictObject({
  id,
  title: filledText(200).optional(),
  progress: z.int().min(0).max(100).optional(),
  branchName: filledText(250).optional(),
  sandboxUrl: url.optional(),
  previewUrl: url.optional(),
  pullRequest: z
    .strictObject({
      url,
      number: z.int().min(1),
      status: z.enum(PULL_REQUEST_STATUSES),
      mergeCommitSha: z
        .string()
        .regex(/^[0-9a-f]{40,64}$/)
        .optional(),
    })
    .optional(),
})

export const appendLogs = z.strictObject({
  taskId: id,
  entries: z
    .array(z.strictObject({ type: z.enum(LOG_TYPES), message: text(64 * 1024) }))
    .min(1)
    .max(500),
})

export const listLogs = z.strictObject({
  taskId: id,
  after: z.int().min(0).max(2_147_483_647).default(0),
  limit: z.int().min(1).max(1_000).default(100),
})

export const sendMessage = z.strictObject({ taskId: id, content: filledText(MAX_PROMPT) })

export const listMessages = z.strictObject({
  taskId: id,
  ...page(z.string().regex(/^[1-9]\d{0,8}$/)),
})

/** In UTF-16 code units, like offsets. */
const MAX_DELTA = 64 * 1024
const MAX_INT = 2_147_483_647

export const startMessage = z.strictObject({ taskId: id })

export const appendDelta = z.strictObject({ id, offset: z.int().min(0).max(MAX_INT), delta: text(MAX_DELTA) })

export const messageId = z.strictObject({ id })

export const streamOfTask = z.strictObject({
  taskId: id,
  /** The id of the last event received; tRPC fills it in from the header when a client reconnects. */
  lastEventId: z
    .string()
    .regex(/^\d{1,10}$/)
    .transform(Number)
    .refine(seq => seq <= MAX_INT)
    .optional(),
})

export const claimTask = z.strictObject({
  worker: filledText(100),
  leaseSeconds: z.int().min(10).max(600).default(60),
})

export const completeTask = z.strictObject({ result: json().optional() })

export const failTask = z.strictObject({ error: filledText(10_000) })

export type ClaimTask = z.output<typeof claimTask>
export type CompleteTask = z.output<typeof completeTask>
export type FailTask = z.output<typeof failTask>
export type CreateTask = z.output<typeof createTask>
export type ListTasks = z.output<typeof listTasks>
export type UpdateTask = z.output<typeof updateTask>
export type AppendLogs = z.output<typeof appendLogs>
export type ListLogs = z.output<typeof listLogs>
export type SendMessage = z.output<typeof sendMessage>
export type StartMessage = z.output<typeof startMessage>
export type AppendDelta = z.output<typeof appendDelta>
export type ListMessages = z.output<typeof listMessages>
export type TaskOptions = z.output<typeof taskOptions>
export type Task = z.output<typeof task>
export type PullRequest = z.output<typeof pullRequest>
export type Claim = NonNullable<z.output<typeof claim>>
export type LogEntry = z.output<typeof logEntry>
export type TaskMessage = z.output<typeof taskMessage>
export type TaskSecrets = z.output<typeof taskSecrets>
