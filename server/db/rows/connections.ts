// Rows of accounts elsewhere, and of what their providers deliver.
import { z } from 'zod'
import { bytes, defaulted, envelope, json, nullable, required, table, timestamp, uuid } from './column.ts'

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
  bodyHash: required(bytes),
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
