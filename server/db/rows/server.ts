// Rows that the server keeps for itself and that belong to nobody.
import { z } from 'zod'
import { defaulted, envelope, json, nullable, required, table, timestamp, uuid } from './column.ts'

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

export const heldPlaces = table({
  holder: required(z.string()),
  processId: required(z.uuid()),
  count: required(z.int().positive()),
  expiresAt: timestamp.required,
})

export const erasures = table({
  id: defaulted(uuid),
  parent: required(z.string()),
  key: required(json),
  deletionId: nullable(uuid),
  step: nullable(z.string()),
  position: nullable(json),
  rowCount: defaulted(z.int()),
  dueAt: timestamp.defaulted,
  failureCount: defaulted(z.int()),
  lastError: nullable(z.string()),
  createdAt: timestamp.defaulted,
  finishedAt: timestamp.nullable,
})
