// Tasks: what a user asks an agent to do, and what came of it. For sessions, and for API tokens with tasks:read or
// tasks:write. A removed task is hidden, never deleted, and comes back with all it had.
import { procedure, router } from '../trpc.ts'
import { appendLogs, listLogs } from './logs.ts'
import { listMessages, sendMessage } from './messages.ts'
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

const read = procedure('tasks:read')
const write = procedure('tasks:write')

export const tasksRouter = router({
  create: write
    .input(schema.createTask)
    .mutation(({ ctx, input }) => createTask(ctx.db, input, ctx.services.quotas)),
  get: read.input(schema.taskId).query(({ ctx, input }) => getTask(ctx.db, input.id)),
  list: read.input(schema.listTasks.prefault({})).query(({ ctx, input }) => listTasks(ctx.db, input)),
  update: write.input(schema.updateTask).mutation(({ ctx, input }) => updateTask(ctx.db, input)),
  stop: write.input(schema.taskId).mutation(({ ctx, input }) => stopTask(ctx.db, input.id)),
  retry: write.input(schema.taskId).mutation(({ ctx, input }) => retryTask(ctx.db, input.id)),
  remove: write.input(schema.taskId).mutation(({ ctx, input }) => removeTask(ctx.db, input.id)),
  restore: write.input(schema.taskId).mutation(({ ctx, input }) => restoreTask(ctx.db, input.id)),
  logs: router({
    append: write.input(schema.appendLogs).mutation(({ ctx, input }) => appendLogs(ctx.db, input)),
    list: read.input(schema.listLogs).query(({ ctx, input }) => listLogs(ctx.db, input)),
  }),
  messages: router({
    send: write
      .input(schema.sendMessage)
      .mutation(({ ctx, input }) => sendMessage(ctx.db, input, ctx.services.quotas)),
    list: read.input(schema.listMessages).query(({ ctx, input }) => listMessages(ctx.db, input)),
  }),
})
