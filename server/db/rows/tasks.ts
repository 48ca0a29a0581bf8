// Rows of tasks and of what hangs on them.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

export const tasks = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  organizationId: nullable(uuid),
  title: required(z.string()),
  prompt: required(z.string()),
  status: defaulted(z.string()),
  progress: defaulted(z.int()),
  repoUrl: nullable(z.string()),
  branchName: nullable(z.string()),
  sandboxUrl: nullable(z.string()),
  previewUrl: nullable(z.string()),
  prUrl: nullable(z.string()),
  prNumber: nullable(z.int()),
  prStatus: nullable(z.string()),
  prMergeCommitSha: nullable(z.string()),
  agent: nullable(z.string()),
  model: nullable(z.string()),
  agentSessionId: nullable(z.string()),
  sandboxId: nullable(z.string()),
  options: defaulted(json),
  error: nullable(z.string()),
  lastLogSeq: defaulted(z.int()),
  lastMessageSeq: defaulted(z.int()),
  lastEventSeq: defaulted(z.int()),
  leaseId: nullable(uuid),
  result: nullable(json),
  startedAt: timestamp.nullable,
  completedAt: timestamp.nullable,
  deletedAt: timestamp.nullable,
  deletionId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  search: defaulted(z.string()),
})

export const taskLogs = table({
  userId: defaulted(uuid),
  taskId: required(uuid),
  seq: required(z.int()),
  type: required(z.string()),
  message: required(z.string()),
  at: timestamp.defaulted,
})

export const taskMessages = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  taskId: required(uuid),
  seq: required(z.int()),
  role: required(z.string()),
  content: required(z.string()),
  status: required(z.string()),
  length: defaulted(z.int()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const taskMessageDeltas = table({
  userId: defaulted(uuid),
  messageId: required(uuid),
  offset: required(z.int()),
  text: required(z.string()),
})

export const taskEvents = table({
  userId: defaulted(uuid),
  taskId: required(uuid),
  seq: required(z.int()),
  kind: required(z.string()),
  messageId: required(uuid),
  offset: nullable(z.int()),
  at: timestamp.defaulted,
})

export const taskLeases = table({
  userId: required(uuid),
  id: defaulted(uuid),
  taskId: required(uuid),
  credentialHash: required(bytes),
  worker: required(z.string()),
  apiTokenId: nullable(uuid),
  sessionId: nullable(uuid),
  leaseSeconds: required(z.int()),
  expiresAt: timestamp.required,
  endedAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const taskConnectors = table({
  userId: defaulted(uuid),
  taskId: required(uuid),
  connectorId: required(uuid),
  createdAt: timestamp.defaulted,
})

export const taskKeys = table({
  userId: defaulted(uuid),
  taskId: required(uuid),
  provider: required(z.string()),
  createdAt: timestamp.defaulted,
})
