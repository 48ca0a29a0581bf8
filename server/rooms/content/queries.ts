import { type Expression, type SqlBool, sql, type UpdateObject } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { getConstraintName, isForeignKeyViolation } from '#server/db/errors.ts'
import { REMOVED, RESTORED } from '#server/db/soft-delete.ts'
import type { DB } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { COLUMNS, hasItsMedia, type JoinedContent, joinParents, toContent } from './content.ts'
import type { Content, CreateContent, UpdateContent } from './schema.ts'
import { slugOf } from './slug.ts'
import { namingSlug } from './slug-conflict.ts'
import { CONTENT_TRANSITIONS, type ContentAction, type ContentStatus } from './state.ts'

/** Creates a draft. Throws `unique_violation`, with a free slug as `suggestion`, if the slug is taken. */
export async function createContent(db: Database, input: CreateContent): Promise<Content> {
  const slug = input.slug ?? slugOf(input.title)
  const organizationId = input.organizationId ?? null
  const created = db.with('content', query =>
    query
      .insertInto('app.content')
      .values({
        title: input.title,
        slug,
        contentType: input.contentType,
        description: input.description ?? null,
        body: input.body ?? null,
        mediaItemId: input.mediaItemId ?? null,
        organizationId,
        tags: input.tags ?? [],
      })
      .returning(COLUMNS),
  )
  const row = await joinParents(created)
    .$castTo<JoinedContent>()
    .executeTakeFirstOrThrow()
    .catch(namingSlug(db, { slug, organizationId }))
  return toContent(row)
}

export function getContent(db: Database, id: string): Promise<Content> {
  return findContent(db, id, hasItsMedia)
}

async function findContent(db: Database, id: string, condition: Expression<SqlBool>): Promise<Content> {
  const found = db.with('content', query =>
    query
      .selectFrom('app.content')
      .select(COLUMNS)
      .where('id', '=', id)
      .where('deletedAt', 'is', null)
      .where(condition),
  )
  const row = await joinParents(found).$castTo<JoinedContent>().executeTakeFirst()
  if (!row) throw notFound('content')
  return toContent(row)
}

/** Updates the given fields only. A new title does not change the slug, so links keep working. */
export async function updateContent(db: Database, input: UpdateContent): Promise<Content> {
  const { id, ...changes } = input
  if (Object.values(changes).every(value => value === undefined)) return findContent(db, id, isOwn)
  const row = await changeContent(db, id, changes).catch(namingSlug(db, { id, slug: changes.slug }))
  if (!row) throw notFound('content')
  return toContent(row)
}

export function publishContent(db: Database, id: string): Promise<Content> {
  return transitionContent(db, id, 'publish', { publishedAt: sql<Date>`now()` })
}

export function unpublishContent(db: Database, id: string): Promise<Content> {
  return transitionContent(db, id, 'unpublish', { publishedAt: null })
}

/** Hides content from the public pages, and keeps its `publishedAt`. */
export function archiveContent(db: Database, id: string): Promise<Content> {
  return transitionContent(db, id, 'archive', {})
}

export function removeContent(db: Database, id: string): Promise<Content> {
  return transitionContent(db, id, 'remove', REMOVED)
}

/**
 * Restores removed content. Throws `unique_violation`, with the slug, if other content uses it by now, and
 * `illegal_transition` if its media item is removed.
 */
export function restoreContent(db: Database, id: string): Promise<Content> {
  return transitionContent(db, id, 'restore', RESTORED)
}

type Changes = UpdateObject<DB, 'app.content'>

function changeContent(db: Database, id: string, changes: Changes, action?: ContentAction) {
  const changed = db.with('content', query => {
    let update = query
      .updateTable('app.content')
      .set(changes)
      .where('id', '=', id)
      .where('deletedAt', action === 'restore' ? 'is not' : 'is', null)
    if (action) update = update.where('status', 'in', CONTENT_TRANSITIONS[action].from)
    if (action === 'publish') {
      update = update.where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('app.mediaItems as media')
              .select('media.id')
              .whereRef('media.userId', '=', 'app.content.userId')
              .whereRef('media.id', '=', 'app.content.mediaItemId')
              .where('media.status', '<>', 'ready'),
          ),
        ),
      )
    }
    return update.returning(COLUMNS)
  })
  return joinParents(changed).$castTo<JoinedContent>().executeTakeFirst()
}

async function transitionContent(
  db: Database,
  id: string,
  action: ContentAction,
  changes: Changes,
): Promise<Content> {
  const { to } = CONTENT_TRANSITIONS[action]
  const row = await changeContent(db, id, to === null ? changes : { ...changes, status: to }, action)
    .catch(namingSlug(db, { id }))
    .catch(error => {
      throw action === 'restore' && isMediaMissing(error) ? mediaRemoved(id, error) : error
    })
  if (row) return toContent(row)
  throw await refusal(db, id, action)
}

function isMediaMissing(error: unknown): boolean {
  return isForeignKeyViolation(error) && getConstraintName(error) === 'content_user_id_media_item_id_fkey'
}

function mediaRemoved(id: string, cause: unknown): AppError {
  return new AppError(
    'illegal_transition',
    `content "${id}" uses a removed media item: restore the media item first`,
    { cause },
  )
}

/** The caller can read more content than their own. */
const isOwn = sql<boolean>`user_id = (select app.current_user_id())`

/**
 * Explains why no row changed: the content does not exist or is not the caller's, its status does not allow
 * the action, or its media item is not ready.
 */
async function refusal(db: Database, id: string, action: ContentAction): Promise<AppError> {
  const content = await db
    .selectFrom('app.content')
    .select(['status', 'deletedAt'])
    .where('id', '=', id)
    .where(isOwn)
    .executeTakeFirst()
  if (!content || (content.deletedAt && action !== 'restore')) return notFound('content')
  const status = content.status as ContentStatus
  const allowed: readonly ContentStatus[] = CONTENT_TRANSITIONS[action].from
  if (action === 'publish' && allowed.includes(status)) {
    return new AppError('illegal_transition', `cannot publish content "${id}": its media item is not ready`)
  }
  const state = action === 'restore' ? 'not removed' : status
  return new AppError('illegal_transition', `cannot ${action} content "${id}": it is ${state}`)
}
