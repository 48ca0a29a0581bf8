import { z } from 'zod'
import { selectMediaItem } from '#server/db/rows.ts'
import { filledText, id, page, pageOf, text } from '#server/rpc/inputs.ts'
import { FILE_TYPES, MEDIA_TYPES, type MediaType, resolveFileType } from './file-types.ts'
import { MEDIA_STATUSES } from './state.ts'

const MEBIBYTE = 1024 ** 2
/** A MIME type, perhaps with parameters; may be empty. */
const MIME_TYPE = /^\s*(?:[\w.+-]+\/[\w.+-]+\s*(?:;[\t -~]*)?)?$/

/** An image is read into memory to create its thumbnail. 5 GiB is the most that S3 accepts in one request. */
export const MAX_FILE_SIZE_BYTES = Object.freeze({
  video: 5_120 * MEBIBYTE,
  audio: 2_048 * MEBIBYTE,
  image: 50 * MEBIBYTE,
  document: 512 * MEBIBYTE,
}) satisfies Record<MediaType, number>

const title = filledText(200)
const description = text(10_000)

/** A media item with the keys of its files, which readers do not see. */
export const storedMedia = selectMediaItem.pick({
  userId: true,
  id: true,
  title: true,
  description: true,
  mediaType: true,
  mimeType: true,
  fileName: true,
  fileSizeBytes: true,
  status: true,
  /** Why the item failed. */
  error: true,
  storageKey: true,
  thumbnailKey: true,
  durationSeconds: true,
  width: true,
  height: true,
  uploadedAt: true,
  deletedAt: true,
  createdAt: true,
  updatedAt: true,
})

/** A media item as its reader sees it. */
export const mediaItem = storedMedia.omit({ userId: true, storageKey: true, thumbnailKey: true }).extend({
  /** Set for images. A signed URL, valid for an hour. */
  thumbnailUrl: z.string().nullable(),
})
export const mediaPage = pageOf(mediaItem)

export const upload = z.strictObject({
  media: mediaItem,
  uploadUrl: z.string(),
  method: z.literal('PUT'),
  headers: z.record(z.string(), z.string()).readonly(),
})
export const downloadUrl = z.strictObject({ url: z.string(), expiresAt: z.date() })

export const mediaId = z.strictObject({ id })

export const createUpload = z
  .strictObject({
    title,
    description: description.optional(),
    mediaType: z.enum(MEDIA_TYPES),
    /**
     * As the browser reports it, parameters included. May be empty if the file's name has a known extension.
     */
    mimeType: z.string().max(255).regex(MIME_TYPE),
    fileSizeBytes: z.int().min(1),
    /** Stored as its last part, without characters that file systems reject. */
    fileName: filledText(255),
  })
  .superRefine((input, ctx) => {
    const { mediaType, fileSizeBytes } = input
    if (!resolveFileType(input)) {
      const types = FILE_TYPES.filter(one => one.mediaType === mediaType).map(({ mimeType }) => mimeType)
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

export type StoredMedia = z.output<typeof storedMedia>
export type MediaItem = z.output<typeof mediaItem>
export type CreateUpload = z.output<typeof createUpload>
export type UpdateMedia = z.output<typeof updateMedia>
export type ListMedia = z.output<typeof listMedia>
