import { z } from 'zod'
import { selectContent, selectMediaItem, selectOrganization, selectUser } from '#server/db/rows.ts'
import { CONTENT_CONTENT_TYPE } from '#server/db/values.ts'
import { filledText, id, numberedPage, numberedPageOf, page, pageOf, text } from '#server/rpc/inputs.ts'
import { CONTENT_STATUSES } from './state.ts'

export const CONTENT_TYPES = CONTENT_CONTENT_TYPE
export type ContentType = (typeof CONTENT_TYPES)[number]

export const MAX_SLUG = 100
const MAX_BODY = 200_000
const MAX_TAGS = 20
/** A limit, because a later page is slow to reach by number; a cursor is not. */
const MAX_PAGE = 10_000

const title = filledText(200)
const description = text(2_000)
const body = text(MAX_BODY)
const tag = filledText(50)
const tags = z
  .array(tag)
  .max(MAX_TAGS)
  .refine(values => new Set(values).size === values.length, 'must not repeat a tag')

export const slug = z
  .string()
  .max(MAX_SLUG)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must consist of lower-case letters, digits and single hyphens')

const creator = selectUser.pick({ id: true, name: true, image: true })
const organization = selectOrganization.pick({ id: true, name: true, slug: true, logo: true })
const media = selectMediaItem.pick({
  id: true,
  title: true,
  mediaType: true,
  mimeType: true,
  status: true,
  durationSeconds: true,
  width: true,
  height: true,
})

/** All fields except the body. */
export const contentSummary = selectContent
  .pick({
    id: true,
    title: true,
    slug: true,
    description: true,
    contentType: true,
    status: true,
    publishedAt: true,
    tags: true,
    deletedAt: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({ creator, organization: organization.nullable(), media: media.nullable() })
export const contentPage = z.union([pageOf(contentSummary), numberedPageOf(contentSummary)])
export const content = contentSummary.extend({ body: selectContent.shape.body })

const publishedMedia = media.omit({ status: true }).extend({
  /** A signed URL, valid for an hour, like `url`. */
  thumbnailUrl: z.string().nullable(),
})

const publishedSummary = contentSummary
  .omit({ status: true, deletedAt: true, createdAt: true })
  .extend({ publishedAt: z.date(), media: publishedMedia.nullable() })
export const publishedPage = pageOf(publishedSummary)
export const published = publishedSummary.extend({
  body: selectContent.shape.body,
  media: publishedMedia.extend({ url: z.string() }).nullable(),
})

export const contentId = z.strictObject({ id })

export const createContent = z.strictObject({
  title,
  contentType: z.enum(CONTENT_TYPES),
  body: body.optional(),
  description: description.optional(),
  /** Derived from the title if omitted. */
  slug: slug.optional(),
  /** The video or audio file; written content may have one, too. */
  mediaItemId: id.optional(),
  organizationId: id.optional(),
  tags: tags.optional(),
})

export const updateContent = z.strictObject({
  id,
  title: title.optional(),
  contentType: z.enum(CONTENT_TYPES).optional(),
  /** Null removes it. */
  body: body.nullish(),
  /** Null removes it. */
  description: description.nullish(),
  slug: slug.optional(),
  /** Null removes it. */
  mediaItemId: id.nullish(),
  tags: tags.optional(),
})

const filters = {
  status: z.enum(CONTENT_STATUSES).optional(),
  type: z.enum(CONTENT_TYPES).optional(),
  organizationId: id.optional(),
  search: text(200).optional(),
  /** Content must have all of these tags. */
  tags: z.array(tag).max(MAX_TAGS).optional(),
  deleted: z.enum(['exclude', 'include', 'only']).default('exclude'),
}

/** The last row of a page: its id, in a search preceded by its rank. */
const cursor = z
  .string()
  .regex(/^(\d{1,3}(\.\d{1,30})?(e-\d{1,2})?_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

/** Paged by cursor, or by page number. */
export const listContent = z.union([
  z.strictObject({ ...filters, ...page(cursor) }),
  z.strictObject({ ...filters, ...numberedPage(MAX_PAGE) }),
])

/** The last row of a page: when it was published, in microseconds, or its rank in a search; and its id. */
const publishedCursor = z
  .string()
  .regex(/^\d{1,18}(\.\d{1,30})?(e-\d{1,2})?_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

export const listPublished = z.strictObject({
  search: text(200).optional(),
  type: z.enum(CONTENT_TYPES).optional(),
  tags: z.array(tag).max(MAX_TAGS).optional(),
  /** Content on this creator's own page; with an organization, the content that they published for it. */
  creatorId: id.optional(),
  organizationSlug: text(100).optional(),
  ...page(publishedCursor),
})

export const bySlug = z
  .strictObject({ slug, organizationSlug: text(100).optional(), creatorId: id.optional() })
  .refine(
    ({ organizationSlug, creatorId }) => (organizationSlug === undefined) !== (creatorId === undefined),
    'must name either an organization or a creator',
  )

export type Creator = z.output<typeof creator>
export type ContentOrganization = z.output<typeof organization>
export type ContentMedia = z.output<typeof media>
export type ContentSummary = z.output<typeof contentSummary>
export type Content = z.output<typeof content>
export type PublishedMedia = z.output<typeof publishedMedia>
export type PublishedSummary = z.output<typeof publishedSummary>
export type Published = z.output<typeof published>
export type CreateContent = z.output<typeof createContent>
export type UpdateContent = z.output<typeof updateContent>
export type ListContent = z.output<typeof listContent>
export type ListPublished = z.output<typeof listPublished>
export type BySlug = z.output<typeof bySlug>
