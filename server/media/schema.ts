import { z } from 'zod'
import { filledText, id, page, text } from '../inputs.ts'
import { MEDIA_STATUSES } from './state.ts'

export const MEDIA_TYPES = ['video', 'audio', 'image', 'document'] as const
export type MediaType = (typeof MEDIA_TYPES)[number]

/**
 * What may be uploaded as what. No SVG and no HTML: they run scripts where they are opened. What is not listed can be told
 * from nothing that it holds.
 */
export const MIME_TYPES = Object.freeze({
  video: ['video/mp4', 'video/webm', 'video/quicktime', 'video/x-matroska'],
  audio: ['audio/mpeg', 'audio/mp4', 'audio/wav', 'audio/ogg', 'audio/flac', 'audio/aac', 'audio/webm'],
  image: ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'],
  document: [
    'application/pdf',
    'text/plain',
    'text/markdown',
    'text/csv',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  ],
}) satisfies Record<MediaType, readonly string[]>

const MEBIBYTE = 1024 ** 2

/** An image is read into memory, to make its thumbnail; 5 GiB is what S3 takes in one request. */
export const MAX_FILE_SIZE_BYTES = Object.freeze({
  video: 5_120 * MEBIBYTE,
  audio: 2_048 * MEBIBYTE,
  image: 50 * MEBIBYTE,
  document: 512 * MEBIBYTE,
}) satisfies Record<MediaType, number>

const title = filledText(200)
const description = text(10_000)

export const mediaId = z.strictObject({ id })

export const createUpload = z
  .strictObject({
    title,
    description: description.optional(),
    mediaType: z.enum(MEDIA_TYPES),
    mimeType: z.string().max(150).toLowerCase(),
    fileSizeBytes: z.int().min(1),
    /** What is left of it: its last part, without what no file system takes. */
    fileName: filledText(255),
  })
  .superRefine(({ mediaType, mimeType, fileSizeBytes }, ctx) => {
    const types: readonly string[] = MIME_TYPES[mediaType]
    if (!types.includes(mimeType)) {
      const message = `must be one of ${types.join(', ')} for ${mediaType}`
      ctx.addIssue({ code: 'custom', path: ['mimeType'], message })
    }
    const max = MAX_FILE_SIZE_BYTES[mediaType]
    if (fileSizeBytes > max) {
      const message = `must be at most ${max} for ${mediaType}`
      ctx.addIssue({ code: 'custom', path: ['fileSizeBytes'], message })
    }
  })

export const updateMedia = z.strictObject({
  id,
  title: title.optional(),
  /** Null removes it. */
  description: description.nullish(),
})

export const listMedia = z.strictObject({
  mediaType: z.enum(MEDIA_TYPES).optional(),
  status: z.enum(MEDIA_STATUSES).optional(),
  deleted: z.enum(['exclude', 'include', 'only']).default('exclude'),
  ...page(id),
})

export type CreateUpload = z.output<typeof createUpload>
export type UpdateMedia = z.output<typeof updateMedia>
export type ListMedia = z.output<typeof listMedia>
