import type { Services } from '#server/app/services.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import type { StatementScope } from '#server/db/scope.ts'
import { AppError } from '#server/rpc/errors.ts'
import { THUMBNAIL_TYPE, toMediaItem } from './item.ts'
import { getMediaFor, insertUpload, transitionMedia } from './queries.ts'
import type { CreateUpload, MediaItem, StoredMedia } from './schema.ts'
import type { UploadAddress } from './store.ts'

/** How long an upload may begin. The sweep waits for a day. */
const UPLOAD_LIFETIME_MS = 60 * 60_000

type WithStore = Pick<Services, 'media'>

/** Makes an item that waits for its file, and the address that takes this file and no other, for an hour. */
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

/** What inspecting needs of its call. */
export interface InspectingCall {
  /** A database that goes on when its caller leaves, so that the item waits again. */
  readonly db: Database
  readonly services: Pick<Services, 'media' | 'inspections'>
  readonly signal: AbortSignal | undefined
  /** Runs what waits for its turn elsewhere, and takes no capacity from other calls. */
  readonly aside: <T>(work: () => Promise<T>) => Promise<T>
}

/** A database that goes on when its caller leaves. */
export function lastingDatabase(services: Pick<Services, 'pools'>, scope: StatementScope): Database {
  return scopedDatabase(services.pools.api, { ...scope, signal: undefined })
}

/**
 * Looks at the file that has arrived, and makes the item ready, or failed with a reason; then its file is gone. Throws
 * `illegal_transition` where no file has arrived, or somebody else completes the item, `rate_limited` and `overloaded` where too
 * many files are being inspected, of the user or of all, and `provider_unreachable` where the store does not answer: then the item
 * waits as before, as it does when the caller leaves. No transaction is open meanwhile.
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
    // Our failure, not the file's: reopen the upload. Where this fails as well, the sweep finds the item.
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
    // It is on the list of what is to be removed, and need not wait for that.
    await store.remove(storageKey).catch(() => {})
    return failed
  }
  if (sizeBytes !== upload.fileSizeBytes) {
    return fail(`the file has ${sizeBytes} bytes, and ${upload.fileSizeBytes} were announced`)
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
