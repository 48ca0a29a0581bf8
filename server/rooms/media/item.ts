import type { Services } from '#server/app/services.ts'
import type { MediaItem, StoredMedia } from './schema.ts'

/** Long enough to watch a video, and for a page to stay open. */
export const DOWNLOAD_LIFETIME_MS = 60 * 60_000

export const THUMBNAIL_TYPE = 'image/webp'

type WithStore = Pick<Services, 'media'>

/** Converts a row to the item that its reader sees. */
export async function toMediaItem({ media: store }: WithStore, media: StoredMedia): Promise<MediaItem> {
  return {
    id: media.id,
    title: media.title,
    description: media.description,
    mediaType: media.mediaType,
    mimeType: media.mimeType,
    fileName: media.fileName,
    fileSizeBytes: media.fileSizeBytes,
    status: media.status,
    error: media.error,
    durationSeconds: media.durationSeconds,
    width: media.width,
    height: media.height,
    thumbnailUrl: await thumbnailUrlOf(store, media),
    uploadedAt: media.uploadedAt,
    deletedAt: media.deletedAt,
    createdAt: media.createdAt,
    updatedAt: media.updatedAt,
  }
}

async function thumbnailUrlOf(
  store: Services['media'],
  { thumbnailKey, status, deletedAt }: StoredMedia,
): Promise<string | null> {
  if (thumbnailKey === null || status !== 'ready' || deletedAt !== null) return null
  return store.createDownloadUrl({
    key: thumbnailKey,
    mimeType: THUMBNAIL_TYPE,
    fileName: 'thumbnail.webp',
    expiresAt: Date.now() + DOWNLOAD_LIFETIME_MS,
  })
}

/**
 * Creates a signed URL for the file of a ready item. Valid for an hour, even if the item is removed in the
 * meantime.
 */
export async function createDownloadUrl(
  { media: store }: WithStore,
  { storageKey, mimeType, fileName }: StoredMedia,
): Promise<{ url: string; expiresAt: Date }> {
  const expiresAt = Date.now() + DOWNLOAD_LIFETIME_MS
  const url = await store.createDownloadUrl({ key: storageKey, mimeType, fileName, expiresAt })
  return { url, expiresAt: new Date(expiresAt) }
}
