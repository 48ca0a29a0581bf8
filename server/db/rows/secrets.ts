// Rows that users and organizations put secrets into.
import { z } from 'zod'
import { defaulted, json, nullable, required, table, timestamp, uuid } from './column.ts'

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
