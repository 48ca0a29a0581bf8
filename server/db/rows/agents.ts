// Rows of what agents do, and with which tools.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

export const agentRuns = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  taskId: nullable(uuid),
  agent: required(z.string()),
  model: nullable(z.string()),
  provider: nullable(z.string()),
  status: defaulted(z.string()),
  input: nullable(json),
  output: nullable(json),
  usage: nullable(json),
  error: nullable(z.string()),
  startedAt: timestamp.nullable,
  finishedAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const toolCalls = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  runId: required(uuid),
  callId: required(z.string()),
  tool: required(z.string()),
  arguments: required(json),
  argumentsHash: required(bytes),
  result: nullable(json),
  error: nullable(z.string()),
  status: defaulted(z.string()),
  startedAt: timestamp.nullable,
  finishedAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const tools = table({
  id: defaulted(uuid),
  slug: required(z.string()),
  name: required(z.string()),
  description: required(z.string()),
  category: required(z.string()),
  tags: defaulted(z.array(z.string())),
  inputSchema: required(json),
  configSchema: defaulted(json),
  requiresApproval: defaulted(z.boolean()),
  requiresConnection: nullable(z.string()),
  isEnabled: defaulted(z.boolean()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const userTools = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  toolId: required(uuid),
  isEnabled: defaulted(z.boolean()),
  config: defaulted(json),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})
