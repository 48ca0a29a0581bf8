// Rows of the tables that Better Auth keeps, one pair of schemas a table.
import { z } from 'zod'
import { bytes, defaulted, nullable, required, table, timestamp, uuid } from './column.ts'

export const users = table({
  id: defaulted(uuid),
  name: required(z.string()),
  email: required(z.string()),
  emailVerified: defaulted(z.boolean()),
  image: nullable(z.string()),
  twoFactorEnabled: defaulted(z.boolean()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  removedAt: timestamp.nullable,
})

export const organizations = table({
  id: defaulted(uuid),
  name: required(z.string()),
  slug: required(z.string()),
  logo: nullable(z.string()),
  metadata: nullable(z.string()),
  requireTwoFactor: defaulted(z.boolean()),
  allowSelfApproval: defaulted(z.boolean()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  deletedAt: timestamp.nullable,
  deletionId: nullable(uuid),
})

export const sessions = table({
  id: defaulted(uuid),
  userId: required(uuid),
  token: required(z.string()),
  expiresAt: timestamp.required,
  slides: defaulted(z.boolean()),
  lastUsedAt: timestamp.defaulted,
  ipAddress: nullable(z.string()),
  userAgent: nullable(z.string()),
  activeOrganizationId: nullable(uuid),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  secondFactorAt: timestamp.nullable,
})

export const accounts = table({
  id: defaulted(uuid),
  userId: required(uuid),
  accountId: required(z.string()),
  providerId: required(z.string()),
  accessToken: nullable(z.string()),
  refreshToken: nullable(z.string()),
  idToken: nullable(z.string()),
  accessTokenExpiresAt: timestamp.nullable,
  refreshTokenExpiresAt: timestamp.nullable,
  scope: nullable(z.string()),
  password: nullable(z.string()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const verifications = table({
  id: defaulted(uuid),
  identifier: required(z.string()),
  userId: nullable(uuid),
  value: required(z.string()),
  expiresAt: timestamp.required,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const members = table({
  id: defaulted(uuid),
  organizationId: required(uuid),
  userId: required(uuid),
  role: defaulted(z.string()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const invitations = table({
  id: defaulted(uuid),
  organizationId: required(uuid),
  inviterId: required(uuid),
  email: required(z.string()),
  role: defaulted(z.string()),
  status: defaulted(z.string()),
  expiresAt: timestamp.required,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})

export const twoFactors = table({
  id: defaulted(uuid),
  userId: required(uuid),
  secret: required(z.string()),
  backupCodes: required(z.string()),
  verified: defaulted(z.boolean()),
  failedVerificationCount: defaulted(z.int()),
  lockedUntil: timestamp.nullable,
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
  lastUsedStep: defaulted(z.int()),
})

export const trustedDevices = table({
  id: defaulted(uuid),
  userId: required(uuid),
  tokenHash: required(bytes),
  secondFactorAt: timestamp.defaulted,
  expiresAt: timestamp.required,
  userAgent: nullable(z.string()),
  createdAt: timestamp.defaulted,
  updatedAt: timestamp.defaulted,
})
