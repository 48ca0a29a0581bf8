import { type QueryCreator, type Selectable, sql } from 'kysely'
import type { AppContent, DB } from '#server/db/types.ts'
import type { Content, ContentMedia, ContentOrganization, ContentSummary } from './schema.ts'

// Content as its creator and its organization's members see it: joined with creator, organization and media
// item in one statement.

/** All columns except the body. */
export const SUMMARY_COLUMNS = [
  'userId',
  'id',
  'organizationId',
  'mediaItemId',
  'title',
  'slug',
  'description',
  'contentType',
  'status',
  'publishedAt',
  'tags',
  'deletedAt',
  'createdAt',
  'updatedAt',
] as const

export const COLUMNS = [...SUMMARY_COLUMNS, 'body'] as const

type Columns = Selectable<AppContent>
type SummaryRow = Pick<Columns, (typeof SUMMARY_COLUMNS)[number]>
/** A query builder whose statement starts with `with content as (…)`. */
type Source<R> = QueryCreator<DB & { content: R }>

/**
 * Joins the rows of `content` with creator, organization and media item. A fellow member's media item is
 * hidden by the policies, so a function returns what members may see of it.
 */
export function joinParents<R extends SummaryRow>(db: Source<R>) {
  return (db as unknown as Source<SummaryRow>)
    .selectFrom('content')
    .innerJoin('auth.users as creator', 'creator.id', 'content.userId')
    .leftJoin('auth.organizations as organization', 'organization.id', 'content.organizationId')
    .leftJoin('app.mediaItems as media', join =>
      join.onRef('media.userId', '=', 'content.userId').onRef('media.id', '=', 'content.mediaItemId'),
    )
    .selectAll('content')
    .select([
      'creator.name as creatorName',
      'creator.image as creatorImage',
      'organization.name as organizationName',
      'organization.slug as organizationSlug',
      'organization.logo as organizationLogo',
      'media.id as mediaId',
      'media.title as mediaTitle',
      'media.mediaType',
      'media.mimeType',
      'media.status as mediaStatus',
      'media.durationSeconds',
      'media.width',
      'media.height',
      sql<ContentMedia | null>`case
        when content.media_item_id is not null and media.id is null
        then app.shared_media(content.user_id, content.media_item_id)
      end`.as('sharedMedia'),
    ])
}

export type JoinedRow = Awaited<ReturnType<ReturnType<typeof joinParents>['executeTakeFirstOrThrow']>>

export function toSummary(row: JoinedRow): ContentSummary {
  return {
    id: row.id,
    title: row.title,
    slug: row.slug,
    description: row.description,
    contentType: row.contentType,
    status: row.status,
    publishedAt: row.publishedAt,
    tags: row.tags,
    creator: { id: row.userId, name: row.creatorName, image: row.creatorImage },
    organization: row.organizationId === null ? null : toOrganization(row, row.organizationId),
    media: toMedia(row),
    deletedAt: row.deletedAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  }
}

export type JoinedContent = JoinedRow & { body: string | null }

export function toContent(row: JoinedContent): Content {
  return { ...toSummary(row), body: row.body }
}

function toOrganization(row: JoinedRow, id: string): ContentOrganization | null {
  const { organizationName: name, organizationSlug: slug, organizationLogo: logo } = row
  return name === null || slug === null ? null : { id, name, slug, logo }
}

function toMedia(row: JoinedRow): ContentMedia | null {
  if (row.mediaId === null) return row.sharedMedia
  return {
    id: row.mediaId,
    title: row.mediaTitle,
    mediaType: row.mediaType,
    mimeType: row.mimeType,
    status: row.mediaStatus,
    durationSeconds: row.durationSeconds,
    width: row.width,
    height: row.height,
  } as ContentMedia
}

/**
 * The eraser removes the content of a removed media item in batches; this condition hides the rest at once.
 */
export const hasItsMedia = sql<boolean>`(
  media_item_id is null or media_item_id <> all ((select app.pending_parent_ids('app.media_items'))::uuid[])
)`
