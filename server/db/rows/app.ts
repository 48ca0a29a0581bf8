// Rows of the tables in `app`, one pair of schemas a table. Procedures have input schemas of their own, in their rooms.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

const day = z.iso.date()
/** A column of the domain app.envelope. */
const envelope = z.string().startsWith('rh1.')

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
  deletionId: nullable(uuid),
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

export const keyringChecks = table({
  keyId: required(z.string()),
  value: required(envelope),
  createdAt: timestamp.defaulted,
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

export const providerKeys = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  provider: required(z.string()),
  value: required(z.string()),
  hint: required(z.string()),
  lastUsedAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const aiProviderConfigs = table({
  organizationId: defaulted(uuid),
  id: defaulted(uuid),
  name: required(z.string()),
  provider: required(z.string()),
  baseUrl: nullable(z.string()),
  model: required(z.string()),
  credentials: nullable(z.string()),
  hint: defaulted(z.string()),
  isDefault: defaulted(z.boolean()),
  limits: defaulted(json),
  deletionId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const approvals = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  organizationId: nullable(uuid),
  taskId: nullable(uuid),
  toolCallId: nullable(uuid),
  kind: required(z.string()),
  title: required(z.string()),
  payload: required(json),
  tool: nullable(z.string()),
  arguments: nullable(json),
  payloadHash: required(bytes),
  priority: defaulted(z.int()),
  requestedBy: required(z.string()),
  status: defaulted(z.string()),
  decidedBy: nullable(uuid),
  decidedAt: timestamp.nullable,
  note: nullable(z.string()),
  expiresAt: timestamp.nullable,
  eventSeq: required(z.int()),
  organizationEventSeq: nullable(z.int()),
  deletionId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const approvalSequences = table({ userId: required(uuid), lastSeq: required(z.int()) })

export const organizationApprovalSequences = table({
  organizationId: required(uuid),
  lastSeq: required(z.int()),
})

export const connectors = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  name: required(z.string()),
  kind: required(z.string()),
  command: nullable(z.string()),
  args: defaulted(z.array(z.string())),
  url: nullable(z.string()),
  env: nullable(z.string()),
  headers: nullable(z.string()),
  oauthClientId: nullable(z.string()),
  oauthClientSecret: nullable(z.string()),
  status: defaulted(z.string()),
  lastCheckedAt: timestamp.nullable,
  lastError: nullable(z.string()),
  tools: defaulted(json),
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

export const connections = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  organizationId: nullable(uuid),
  provider: required(z.string()),
  externalId: required(z.string()),
  name: required(z.string()),
  icon: nullable(z.string()),
  scopes: defaulted(z.array(z.string())),
  accessToken: nullable(envelope),
  refreshToken: nullable(envelope),
  expiresAt: timestamp.nullable,
  botId: nullable(z.string()),
  settings: defaulted(json),
  status: defaulted(z.string()),
  tokenVersion: defaulted(z.int()),
  refreshClaim: nullable(uuid),
  refreshClaimedUntil: timestamp.nullable,
  connectedAt: timestamp.defaulted,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const oauthStates = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  sessionId: defaulted(uuid),
  stateHash: required(bytes),
  provider: required(z.string()),
  codeVerifier: nullable(envelope),
  returnTo: required(z.string()),
  expiresAt: timestamp.defaulted,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const webhookDeliveries = table({
  id: defaulted(uuid),
  provider: required(z.string()),
  deliveryId: required(z.string()),
  eventType: required(z.string()),
  headers: required(json),
  payload: required(json),
  receivedAt: timestamp.defaulted,
})

export const webhookEvents = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  connectionId: required(uuid),
  deliveryId: required(uuid),
  provider: required(z.string()),
  eventType: required(z.string()),
  payload: required(json),
  effect: nullable(z.string()),
  status: defaulted(z.string()),
  attempts: defaulted(z.int()),
  nextAttemptAt: timestamp.nullable,
  lastError: nullable(z.string()),
  processedAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const mediaItems = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  title: required(z.string()),
  description: nullable(z.string()),
  mediaType: required(z.string()),
  mimeType: required(z.string()),
  fileName: required(z.string()),
  fileSizeBytes: required(z.int()),
  status: defaulted(z.string()),
  error: nullable(z.string()),
  storageKey: defaulted(z.string()),
  hlsMasterPlaylistKey: nullable(z.string()),
  thumbnailKey: nullable(z.string()),
  durationSeconds: nullable(z.number()),
  width: nullable(z.int()),
  height: nullable(z.int()),
  uploadedAt: timestamp.nullable,
  deletedAt: timestamp.nullable,
  deletionId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const fileRemovals = table({
  storageKey: required(z.string()),
  dueAt: timestamp.defaulted,
  repeatAt: timestamp.nullable,
  createdAt: timestamp.defaulted,
})

export const content = table({
  userId: defaulted(uuid),
  id: defaulted(uuid),
  organizationId: nullable(uuid),
  mediaItemId: nullable(uuid),
  title: required(z.string()),
  slug: required(z.string()),
  description: nullable(z.string()),
  body: nullable(z.string()),
  contentType: required(z.string()),
  status: defaulted(z.string()),
  publishedAt: timestamp.nullable,
  tags: defaulted(z.array(z.string())),
  deletedAt: timestamp.nullable,
  deletionId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  search: defaulted(z.string()),
})
