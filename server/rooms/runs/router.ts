// Runs: one execution of an agent each, with input, tool calls, output and cost. Open to sessions, to API
// tokens with runs:read or runs:write, and to workers, whose lease grants access to the runs of its own task.
// A call of a tool that requires approval waits for a decision; no procedure here can start it.
import { procedure, router } from '#server/rpc/trpc.ts'
import { finishRun, getRun, listRuns, startRun } from './queries.ts'
import * as schema from './schema.ts'
import { finishToolCall, listToolCalls, startToolCall } from './tool-calls.ts'

const read = procedure('runs:read+lease')
const write = procedure('runs:write+lease')

export const runsRouter = router({
  start: write
    .input(schema.startRun)
    .output(schema.run)
    .mutation(({ ctx, input }) => startRun(ctx.db, input)),
  finish: write
    .input(schema.finishRun)
    .output(schema.run)
    .mutation(({ ctx, input }) => finishRun(ctx.db, input)),
  list: read
    .input(schema.listRuns.prefault({}))
    .output(schema.runPage)
    .query(({ ctx, input }) => listRuns(ctx.db, input)),
  get: read
    .input(schema.runId)
    .output(schema.run)
    .query(({ ctx, input }) => getRun(ctx.db, input.id)),
  toolCalls: router({
    start: write
      .input(schema.startToolCall)
      .output(schema.toolCall)
      .mutation(({ ctx, input }) => startToolCall(ctx.db, input)),
    finish: write
      .input(schema.finishToolCall)
      .output(schema.toolCall)
      .mutation(({ ctx, input }) => finishToolCall(ctx.db, input)),
    list: read
      .input(schema.listToolCalls)
      .output(schema.toolCallPage)
      .query(({ ctx, input }) => listToolCalls(ctx.db, input)),
  }),
})
