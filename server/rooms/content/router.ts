// Content: what creators write and publish, on their own page or for an organization. Open to sessions, and
// to API tokens with content:read or content:write. Only the creator can change content, whatever others'
// roles in the organization; members read it in every status. Everyone reads published content, through the
// public login and without a credential.
import { procedure, publicProcedure, router } from '#server/rpc/trpc.ts'
import { listContent } from './lists.ts'
import { getPublished, listPublished } from './published.ts'
import {
  archiveContent,
  createContent,
  getContent,
  publishContent,
  removeContent,
  restoreContent,
  unpublishContent,
  updateContent,
} from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('content:read')
const write = procedure('content:write')

export const contentRouter = router({
  create: write
    .input(schema.createContent)
    .output(schema.content)
    .mutation(({ ctx, input }) => createContent(ctx.db, input)),
  get: read
    .input(schema.contentId)
    .output(schema.content)
    .query(({ ctx, input }) => getContent(ctx.db, input.id)),
  list: read
    .input(schema.listContent.prefault({}))
    .output(schema.contentPage)
    .query(({ ctx, input }) => listContent(ctx.db, input)),
  update: write
    .input(schema.updateContent)
    .output(schema.content)
    .mutation(({ ctx, input }) => updateContent(ctx.db, input)),
  publish: write
    .input(schema.contentId)
    .output(schema.content)
    .mutation(({ ctx, input }) => publishContent(ctx.db, input.id)),
  unpublish: write
    .input(schema.contentId)
    .output(schema.content)
    .mutation(({ ctx, input }) => unpublishContent(ctx.db, input.id)),
  archive: write
    .input(schema.contentId)
    .output(schema.content)
    .mutation(({ ctx, input }) => archiveContent(ctx.db, input.id)),
  remove: write
    .input(schema.contentId)
    .output(schema.content)
    .mutation(({ ctx, input }) => removeContent(ctx.db, input.id)),
  restore: write
    .input(schema.contentId)
    .output(schema.content)
    .mutation(({ ctx, input }) => restoreContent(ctx.db, input.id)),
  published: publicProcedure
    .input(schema.listPublished.prefault({}))
    .output(schema.publishedPage)
    .query(({ ctx, input }) => listPublished(ctx.db, ctx.services.media, input)),
  bySlug: publicProcedure
    .input(schema.bySlug)
    .output(schema.published)
    .query(({ ctx, input }) => getPublished(ctx.db, ctx.services.media, input)),
})
