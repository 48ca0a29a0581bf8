// Rows of approvals, and the numbers that their changes have got.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

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
