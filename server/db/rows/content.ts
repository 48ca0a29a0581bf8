// Rows of content and of its media files.
import { z } from 'zod'
import { defaulted, nullable, required, table, timestamp, uuid } from './column.ts'

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
