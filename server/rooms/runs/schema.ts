import { z } from 'zod'
import { selectAgentRun, selectToolCall } from '#server/db/rows.ts'
import { filledText, id, json, jsonObject, jsonValue, page, pageOf } from '#server/rpc/inputs.ts'
import { RUN_STATUSES } from './state.ts'

const MAX_ERROR = 10_000
const tokens = z.int().min(0)

/** A run's usage, as far as its provider reports it. */
const usage = z.strictObject({
  inputTokens: tokens.optional(),
  outputTokens: tokens.optional(),
  /** The part of the input that the provider read from its cache. */
  cachedTokens: tokens.optional(),
  costUsd: z.number().min(0).max(1_000_000).optional(),
})

export const run = selectAgentRun
  .pick({
    id: true,
    taskId: true,
    agent: true,
    model: true,
    provider: true,
    status: true,
    input: true,
    output: true,
    usage: true,
    error: true,
    startedAt: true,
    finishedAt: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({ input: jsonValue, output: jsonValue, usage: usage.nullable() })
export const runPage = pageOf(run)

export const toolCall = selectToolCall
  .pick({
    id: true,
    runId: true,
    callId: true,
    tool: true,
    arguments: true,
    argumentsHash: true,
    result: true,
    error: true,
    status: true,
    startedAt: true,
    finishedAt: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({
    arguments: jsonValue,
    /** SHA-256 of the arguments' canonical JSON (RFC 8785), in hex. An approval is bound to it. */
    argumentsHash: z.string(),
    result: jsonValue,
  })
export const toolCallPage = pageOf(toolCall)

export const runId = z.strictObject({ id })

export const startRun = z.strictObject({
  /** With a lease, defaults to the leased task. */
  taskId: id.optional(),
  agent: filledText(100),
  model: filledText(100).optional(),
  provider: filledText(100).optional(),
  input: json().optional(),
})

export const finishRun = z.strictObject({
  id,
  status: z.enum(['completed', 'failed', 'cancelled']),
  output: json().optional(),
  usage: usage.optional(),
  error: filledText(MAX_ERROR).optional(),
})

export const listRuns = z.strictObject({
  taskId: id.optional(),
  status: z.enum(RUN_STATUSES).optional(),
  ...page(id),
})

export const startToolCall = z.strictObject({
  runId: id,
  /** The agent's own id of the call, such as `toolu_01…`. */
  callId: filledText(200),
  /** A slug of the catalogue, or the name that an MCP connector gives its tool. */
  tool: z.string().regex(/^[A-Za-z0-9_.:/-]{1,200}$/, 'must be the name of a tool'),
  arguments: jsonObject(),
})

export const finishToolCall = z.strictObject({
  id,
  status: z.enum(['succeeded', 'failed']),
  result: json().optional(),
  error: filledText(MAX_ERROR).optional(),
})

export const listToolCalls = z.strictObject({ runId: id, ...page(id) })

export type Run = z.output<typeof run>
export type ToolCall = z.output<typeof toolCall>
export type StartRun = z.output<typeof startRun>
export type FinishRun = z.output<typeof finishRun>
export type ListRuns = z.output<typeof listRuns>
export type StartToolCall = z.output<typeof startToolCall>
export type FinishToolCall = z.output<typeof finishToolCall>
export type ListToolCalls = z.output<typeof listToolCalls>
