// Rows of the tables in `app`, one pair of schemas a table. Procedures have input schemas of their own, in their rooms.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

const day = z.iso.date()

export const apiTokens = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  organizationId: nullable(uuid),
  name: required(z.string()),
  prefix: required(z.string()),
  tokenHash: required(bytes),
  scopes: required(z.array(z.string())),
  expiresAt: timestamp.nullable,
  lastUsedAt: timestamp.nullable,
  revokedAt: timestamp.nullable,
  replacedBy: nullable(uuid),
  graceUntil: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const settings = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  key: required(z.string()),
  value: required(json),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const dailyUsage = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  day: required(day),
  tasks: defaulted(z.int()),
  messages: defaulted(z.int()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const rateLimits = table({
  key: required(z.string()),
  count: defaulted(z.int()),
  windowStartedAt: timestamp.defaulted,
  expiresAt: timestamp.required,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

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
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})
