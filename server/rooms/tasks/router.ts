// Tasks: what a user asks an agent to do, and its result. Open to sessions, to API tokens with tasks:read or
// tasks:write, and to workers. A worker's claim returns a lease: the worker then acts for the owner on that
// one task, and reads the keys and connectors that the task names if the claiming credential may read keys. A
// removed task is hidden, never deleted, and can be restored whole. Each change of a task, its log or its
// messages is published to its streams.
import { nothing } from '#server/rpc/inputs.ts'
import { liveProcedure, procedure, router, workerProcedure } from '#server/rpc/trpc.ts'
import { claimAnyTask, claimOwnTask, completeTask, extendLease, failTask } from './leases.ts'
import { appendLogs, listLogs } from './logs.ts'
import { appendDelta, finishMessage, listMessages, sendMessage, startMessage } from './messages.ts'
import {
  createTask,
  getTask,
  listTasks,
  removeTask,
  restoreTask,
  retryTask,
  stopTask,
  updateTask,
} from './queries.ts'
import * as schema from './schema.ts'
import { openTaskSecrets } from './secrets.ts'
import {
  announceClaim,
  announceLogs,
  announceMessages,
  announceTask,
  announcing,
  logSource,
  messageSource,
} from './streams.ts'

const read = procedure('tasks:read')
const readOrLease = procedure('tasks:read+lease')
const lease = procedure('lease')
const stream = liveProcedure('tasks:read')

const write = procedure('tasks:write')
const writeOrLease = procedure('tasks:write+lease')
const work = workerProcedure('tasks:work')

export const tasksRouter = router({
  create: write
    .input(schema.createTask)
    .output(schema.task)
    .mutation(({ ctx, input }) => createTask(ctx.db, input, ctx.services.quotas)),
  get: readOrLease
    .input(schema.taskId)
    .output(schema.task)
    .query(({ ctx, input }) => getTask(ctx.db, input.id)),
  list: read
    .input(schema.listTasks.prefault({}))
    .output(schema.taskPage)
    .query(({ ctx, input }) => listTasks(ctx.db, input)),
  update: writeOrLease
    .input(schema.updateTask)
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, updateTask(ctx.db, input), announceTask)),
  stop: write
    .input(schema.taskId)
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, stopTask(ctx.db, input.id), announceTask)),
  retry: write
    .input(schema.taskId)
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, retryTask(ctx.db, input.id), announceTask)),
  remove: write
    .input(schema.taskId)
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, removeTask(ctx.db, input.id), announceTask)),
  restore: write
    .input(schema.taskId)
    .output(schema.task)
    .mutation(({ ctx, input }) => restoreTask(ctx.db, input.id)),
  claim: work
    .input(schema.claimTask)
    .output(schema.claim)
    .mutation(({ ctx, input }) =>
      announcing(ctx, ctx.db ? claimOwnTask(ctx.db, ctx, input) : claimAnyTask(ctx, input), announceClaim),
    ),
  heartbeat: lease.output(schema.heartbeat).mutation(({ ctx }) => extendLease(ctx.db)),
  complete: lease
    .input(schema.completeTask.prefault({}))
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, completeTask(ctx.db, input), announceTask)),
  fail: lease
    .input(schema.failTask)
    .output(schema.task)
    .mutation(({ ctx, input }) => announcing(ctx, failTask(ctx.db, input), announceTask)),
  secrets: lease
    .output(schema.taskSecrets)
    .mutation(({ ctx }) => openTaskSecrets(ctx.db, ctx.services.keyring)),
  logs: router({
    append: writeOrLease
      .input(schema.appendLogs)
      .output(schema.lastLog)
      .mutation(({ ctx, input }) =>
        announcing(ctx, appendLogs(ctx.db, input), live => announceLogs(live, input)),
      ),
    list: readOrLease
      .input(schema.listLogs)
      .output(schema.logPage)
      .query(({ ctx, input }) => listLogs(ctx.db, input)),
    stream: stream
      .input(schema.streamOfTask)
      .subscription(({ ctx, input }) =>
        ctx.services.live.open(ctx, logSource(input.taskId), input.lastEventId ?? 0),
      ),
  }),
  messages: router({
    send: write
      .input(schema.sendMessage)
      .output(schema.taskMessage)
      .mutation(({ ctx, input }) =>
        announcing(ctx, sendMessage(ctx.db, input, ctx.services.quotas), announceMessages),
      ),
    list: readOrLease
      .input(schema.listMessages)
      .output(schema.messagePage)
      .query(({ ctx, input }) => listMessages(ctx.db, input)),
    start: writeOrLease
      .input(schema.startMessage)
      .output(schema.startedMessage)
      .mutation(({ ctx, input }) =>
        announcing(ctx, startMessage(ctx.db, input), live => announceMessages(live, input)),
      ),
    append: writeOrLease
      .input(schema.appendDelta)
      .output(schema.messageLength)
      .mutation(async ({ ctx, input }) => {
        const { length } = await announcing(ctx, appendDelta(ctx.db, input), announceMessages)
        return { length }
      }),
    finish: writeOrLease
      .input(schema.messageId)
      .output(nothing)
      .mutation(async ({ ctx, input }) => {
        await announcing(ctx, finishMessage(ctx.db, input.id), announceMessages)
      }),
    stream: stream
      .input(schema.streamOfTask)
      .subscription(({ ctx, input }) =>
        ctx.services.live.open(ctx, messageSource(input.taskId), input.lastEventId ?? 0),
      ),
  }),
})
