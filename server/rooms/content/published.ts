import { sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import { DOWNLOAD_LIFETIME_MS, THUMBNAIL_TYPE } from '#server/rooms/media/item.ts'
import { notFound } from '#server/rpc/errors.ts'
import type {
  BySlug,
  ContentMedia,
  ContentOrganization,
  ContentType,
  ListPublished,
  Published,
  PublishedMedia,
  PublishedSummary,
} from './schema.ts'

// Content that everyone may read. `db` uses the public login, and one function reads all of it.

type FileStore = Services['media']

interface Row {
  id: string
  title: string
  slug: string
  description: string | null
  body: string | null
  contentType: ContentType
  publishedAt: Date
  tags: string[]
  updatedAt: Date
  position: string
  creatorId: string
  creatorName: string
  creatorImage: string | null
  organizationId: string | null
  organizationName: string | null
  organizationSlug: string | null
  organizationLogo: string | null
  mediaItemId: string | null
  mediaTitle: string | null
  mediaType: ContentMedia['mediaType'] | null
  mediaMimeType: string | null
  mediaDurationSeconds: number | null
  mediaWidth: number | null
  mediaHeight: number | null
  mediaFileName: string | null
  mediaStorageKey: string | null
  mediaThumbnailKey: string | null
}

/** Returns a page of published content, newest first; with a search, best match first. */
export async function listPublished(
  db: Database,
  store: FileStore,
  input: ListPublished,
): Promise<Page<PublishedSummary>> {
  const { search, type, tags, creatorId, organizationSlug, cursor, limit } = input
  const words = search?.trim() ? search : null
  const [position, id] = cursor?.split('_') ?? []
  const { rows } = await sql<Row>`
    select * from app.published_content(
      null, ${words}, ${type ?? null}, ${tags ?? null}, ${creatorId ?? null}, ${organizationSlug ?? null},
      ${position ?? null}, ${id ?? null}, ${limit + 1}
    )
  `.execute(db)
  const page = toPage(rows, limit, row => `${row.position}_${row.id}`)
  return { ...page, items: await Promise.all(page.items.map(row => toSummary(store, row))) }
}

/** Returns published content with its body, by its slug in an organization or on a creator's own page. */
export async function getPublished(db: Database, store: FileStore, input: BySlug): Promise<Published> {
  const { slug, creatorId, organizationSlug } = input
  const { rows } = await sql<Row>`
    select * from app.published_content(
      ${slug}, null, null, null, ${creatorId ?? null}, ${organizationSlug ?? null}, null, null, 1
    )
  `.execute(db)
  const [row] = rows
  if (!row) throw notFound('content')
  const summary = await toSummary(store, row)
  const media = summary.media && { ...summary.media, url: await urlOf(store, row) }
  return { ...summary, body: row.body, media }
}

async function toSummary(store: FileStore, row: Row): Promise<PublishedSummary> {
  return {
    id: row.id,
    title: row.title,
    slug: row.slug,
    description: row.description,
    contentType: row.contentType,
    tags: row.tags,
    publishedAt: row.publishedAt,
    updatedAt: row.updatedAt,
    creator: { id: row.creatorId, name: row.creatorName, image: row.creatorImage },
    organization: toOrganization(row),
    media: await toMedia(store, row),
  }
}

function toOrganization(row: Row): ContentOrganization | null {
  const { organizationId: id, organizationName: name, organizationSlug: slug, organizationLogo: logo } = row
  return id === null || name === null || slug === null ? null : { id, name, slug, logo }
}

async function toMedia(store: FileStore, row: Row): Promise<PublishedMedia | null> {
  if (row.mediaItemId === null) return null
  return {
    id: row.mediaItemId,
    title: row.mediaTitle,
    mediaType: row.mediaType,
    mimeType: row.mediaMimeType,
    durationSeconds: row.mediaDurationSeconds,
    width: row.mediaWidth,
    height: row.mediaHeight,
    thumbnailUrl: row.mediaThumbnailKey && (await thumbnailUrlOf(store, row.mediaThumbnailKey)),
  } as PublishedMedia
}

function urlOf(store: FileStore, row: Row): Promise<string> {
  return store.createDownloadUrl({
    key: row.mediaStorageKey ?? '',
    mimeType: row.mediaMimeType ?? '',
    fileName: row.mediaFileName ?? '',
    expiresAt: Date.now() + DOWNLOAD_LIFETIME_MS,
  })
}

function thumbnailUrlOf(store: FileStore, key: string): Promise<string> {
  return store.createDownloadUrl({
    key,
    mimeType: THUMBNAIL_TYPE,
    fileName: 'thumbnail.webp',
    expiresAt: Date.now() + DOWNLOAD_LIFETIME_MS,
  })
}
