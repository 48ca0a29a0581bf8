import type { UpdateObject } from 'kysely'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import { deletedOperator, REMOVED, RESTORED } from '#server/db/soft-delete.ts'
import type { DB } from '#server/db/types.ts'
import { namingSlug } from '#server/rooms/content/slug-conflict.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { safeFileName } from './file-name.ts'
import { resolveFileType } from './file-types.ts'
import {
  type CreateUpload,
  type ListMedia,
  type StoredMedia,
  storedMedia,
  type UpdateMedia,
} from './schema.ts'
import { isMediaActionAllowed, MEDIA_TRANSITIONS, type MediaAction } from './state.ts'

const COLUMNS = namesIn(storedMedia)

export async function insertUpload(db: Database, input: CreateUpload): Promise<StoredMedia> {
  const row = await db
    .insertInto('app.mediaItems')
    .values({
      title: input.title,
      description: input.description ?? null,
      mediaType: input.mediaType,
      mimeType: resolveFileType(input)?.mimeType ?? input.mimeType,
      fileSizeBytes: input.fileSizeBytes,
      fileName: safeFileName(input.fileName),
    })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
  return row
}

export async function getMedia(db: Database, id: string): Promise<StoredMedia> {
  const row = await db
    .selectFrom('app.mediaItems')
    .select(COLUMNS)
    .where('id', '=', id)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (!row) throw notFound('media item')
  return row
}

/** Returns the item if its status allows the action; throws `illegal_transition` otherwise. */
export async function getMediaFor(db: Database, id: string, action: MediaAction): Promise<StoredMedia> {
  const media = await getMedia(db, id)
  if (!isMediaActionAllowed(action, media.status)) throw illegalTransition(id, media.status, action)
  return media
}

/** Returns a page of media items, newest first. */
export async function listMedia(db: Database, input: ListMedia): Promise<Page<StoredMedia>> {
  let query = db
    .selectFrom('app.mediaItems')
    .select(COLUMNS)
    .orderBy('id', 'desc')
    .limit(input.limit + 1)
  const deleted = deletedOperator(input.deleted)
  if (deleted) query = query.where('deletedAt', deleted, null)
  if (input.mediaType) query = query.where('mediaType', '=', input.mediaType)
  if (input.status) query = query.where('status', '=', input.status)
  if (input.cursor) query = query.where('id', '<', input.cursor)
  const rows = await query.execute()
  return toPage(rows, input.limit, media => media.id)
}

/** Updates the given fields only. */
export async function updateMedia(db: Database, { id, ...changes }: UpdateMedia): Promise<StoredMedia> {
  if (Object.values(changes).every(value => value === undefined)) return getMedia(db, id)
  const row = await db
    .updateTable('app.mediaItems')
    .set(changes)
    .where('id', '=', id)
    .where('deletedAt', 'is', null)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('media item')
  return row
}

/** Hides an item and the content that uses it. Its files stay, so that everything can be restored. */
export function removeMedia(db: Database, id: string): Promise<StoredMedia> {
  return transitionMedia(db, id, 'remove', REMOVED)
}

/**
 * Restores an item and the content that was removed with it. Throws `unique_violation`, with the slug, if
 * other content uses a slug of that content by now.
 */
export function restoreMedia(db: Database, id: string): Promise<StoredMedia> {
  return transitionMedia(db, id, 'restore', RESTORED).catch(namingSlug(db, { mediaItemId: id }))
}

type MediaChanges = Omit<UpdateObject<DB, 'app.mediaItems'>, 'status'>

/**
 * Changes the item's status; throws `illegal_transition`, with the current status, if another call changed it
 * first.
 */
export async function transitionMedia(
  db: Database,
  id: string,
  action: MediaAction,
  changes: MediaChanges = {},
): Promise<StoredMedia> {
  const { from, to } = MEDIA_TRANSITIONS[action]
  const row = await db
    .updateTable('app.mediaItems')
    .set(to === null ? changes : { ...changes, status: to })
    .where('id', '=', id)
    .where('status', 'in', from)
    .where('deletedAt', action === 'restore' ? 'is not' : 'is', null)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return row
  throw await refusal(db, id, action)
}

/** Explains why no row changed: the item does not exist, or its status does not allow the action. */
async function refusal(db: Database, id: string, action: MediaAction): Promise<AppError> {
  const media = await db
    .selectFrom('app.mediaItems')
    .select(['status', 'deletedAt'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (!media || (media.deletedAt && action !== 'restore')) return notFound('media item')
  return illegalTransition(id, action === 'restore' ? 'not removed' : media.status, action)
}

function illegalTransition(id: string, state: string, action: MediaAction): AppError {
  return new AppError('illegal_transition', `cannot ${action} media item "${id}": it is ${state}`)
}
