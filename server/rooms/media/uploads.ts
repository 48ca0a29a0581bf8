import type { Services } from '#server/app/services.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import type { StatementScope } from '#server/db/scope.ts'
import { AppError } from '#server/rpc/errors.ts'
import { THUMBNAIL_TYPE, toMediaItem } from './item.ts'
import { getMediaFor, insertUpload, transitionMedia } from './queries.ts'
import type { CreateUpload, MediaItem, StoredMedia } from './schema.ts'
import type { UploadAddress } from './store.ts'

/** How long the signed URL allows an upload. The sweep fails the item after a day. */
const UPLOAD_LIFETIME_MS = 60 * 60_000

type WithStore = Pick<Services, 'media'>

/**
 * Creates an item that waits for its file, and a signed URL for uploading this file only, valid for an hour.
 */
export async function createUpload(
  db: Database,
  services: WithStore,
  input: CreateUpload,
): Promise<{ media: MediaItem; uploadUrl: string } & Omit<UploadAddress, 'url'>> {
  const stored = await insertUpload(db, input)
  const { url, method, headers } = await services.media.createUploadAddress({
    userId: stored.userId,
    mediaId: stored.id,
    key: stored.storageKey,
    sizeBytes: stored.fileSizeBytes,
    mimeType: stored.mimeType,
    expiresAt: Date.now() + UPLOAD_LIFETIME_MS,
  })
  return { media: await toMediaItem(services, stored), uploadUrl: url, method, headers }
}

/** What an inspection needs of its call. */
export interface InspectingCall {
  /** Not aborted when the caller leaves, so that the upload can be reopened. */
  readonly db: Database
  readonly services: Pick<Services, 'media' | 'inspections'>
  readonly signal: AbortSignal | undefined
  /** Runs work that waits in a queue, so that it uses no capacity of other calls. */
  readonly aside: <T>(work: () => Promise<T>) => Promise<T>
}

/** Returns a database whose statements are not aborted when the caller leaves. */
export function lastingDatabase(services: Pick<Services, 'pools'>, scope: StatementScope): Database {
  return scopedDatabase(services.pools.api, { ...scope, signal: undefined })
}

/**
 * Inspects the uploaded file and sets the item to ready, or to failed with an error and deletes the file.
 * Throws `illegal_transition` if no file was uploaded or another call completes the item, `rate_limited` or
 * `overloaded` if the user or the server has too many inspections, and `provider_unreachable` if the store
 * does not answer. After any error, and when the caller leaves, the upload is open again. Holds no
 * transaction open during the inspection.
 */
export async function completeUpload(
  identity: Identity,
  call: InspectingCall,
  id: string,
): Promise<MediaItem> {
  const { db, services } = call
  const { media: store } = services
  const upload = await getMediaFor(db, id, 'complete')
  const sizeBytes = await store.sizeOf(identity, upload.storageKey)
  if (sizeBytes === null) {
    throw new AppError('illegal_transition', `media item "${id}" has no file yet: upload it first`)
  }
  await transitionMedia(db, id, 'complete', { uploadedAt: new Date() })
  try {
    return await toMediaItem(services, await examine(identity, call, { upload, sizeBytes }))
  } catch (error) {
    // Our failure, not the file's: reopen the upload. If reopening fails too, the sweep fails the item.
    await transitionMedia(db, id, 'reopen', { uploadedAt: null }).catch(() => {})
    throw error
  }
}

async function examine(
  identity: Identity,
  { db, services: { media: store, inspections }, signal, aside }: InspectingCall,
  { upload, sizeBytes }: { upload: StoredMedia; sizeBytes: number },
): Promise<StoredMedia> {
  const { id, userId, storageKey, mimeType, mediaType } = upload
  const fail = async (error: string) => {
    const failed = await transitionMedia(db, id, 'fail', { error })
    // The key is already queued for the sweep; deleting the file now only frees the space earlier.
    await store.remove(storageKey).catch(() => {})
    return failed
  }
  if (sizeBytes !== upload.fileSizeBytes) {
    return fail(`the file has ${sizeBytes} bytes, but ${upload.fileSizeBytes} were declared`)
  }
  const read = (start: number, end: number) => store.read(identity, storageKey, { start, end })
  const onBegin = () => transitionMedia(db, id, 'process')
  const found = await aside(() =>
    inspections.inspect({ sizeBytes, mimeType, mediaType, read }, { userId, signal, onBegin }),
  )
  if ('problem' in found) return fail(found.problem)
  const { width, height, durationSeconds, thumbnail } = found
  if (thumbnail === null) return transitionMedia(db, id, 'finish', { width, height, durationSeconds })
  const thumbnailKey = `thumbnails/${id}/thumbnail.webp`
  await store.write(identity, thumbnailKey, { bytes: thumbnail, mimeType: THUMBNAIL_TYPE })
  return transitionMedia(db, id, 'finish', { width, height, durationSeconds, thumbnailKey })
}
