// Rows of what a user has besides an account: tokens, settings, the days’ numbers.
import { z } from 'zod'
import { bytes, defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

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
  day: required(z.iso.date()),
  tasks: defaulted(z.int()),
  messages: defaulted(z.int()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})
