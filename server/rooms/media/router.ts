// Media: files that users upload. Open to sessions, and to API tokens with media:read or media:write. No file
// passes through a procedure: clients upload to and download from signed URLs, valid for an hour, of this
// server's disk or of a bucket. Completing an upload inspects the stored file and trusts nothing that the
// client declared. A removed item is hidden and keeps its file, so it can be restored.
import { procedure, router } from '#server/rpc/trpc.ts'
import { createDownloadUrl, toMediaItem } from './item.ts'
import { getMedia, getMediaFor, listMedia, removeMedia, restoreMedia, updateMedia } from './queries.ts'
import * as schema from './schema.ts'
import { completeUpload, createUpload, lastingDatabase } from './uploads.ts'

const read = procedure('media:read')
const write = procedure('media:write')

export const mediaRouter = router({
  createUpload: write
    .input(schema.createUpload)
    .output(schema.upload)
    .mutation(({ ctx, input }) => createUpload(ctx.db, ctx.services, input)),
  completeUpload: write
    .input(schema.mediaId)
    .output(schema.mediaItem)
    .mutation(async ({ ctx, input }) => {
      const identity = await ctx.identity()
      const db = lastingDatabase(ctx.services, ctx.scope)
      const { services, signal, aside } = ctx
      return completeUpload(identity, { db, services, signal, aside }, input.id)
    }),
  list: read
    .input(schema.listMedia.prefault({}))
    .output(schema.mediaPage)
    .query(async ({ ctx, input }) => {
      const { items, nextCursor } = await listMedia(ctx.db, input)
      return { items: await Promise.all(items.map(item => toMediaItem(ctx.services, item))), nextCursor }
    }),
  get: read
    .input(schema.mediaId)
    .output(schema.mediaItem)
    .query(async ({ ctx, input }) => toMediaItem(ctx.services, await getMedia(ctx.db, input.id))),
  update: write
    .input(schema.updateMedia)
    .output(schema.mediaItem)
    .mutation(async ({ ctx, input }) => toMediaItem(ctx.services, await updateMedia(ctx.db, input))),
  remove: write
    .input(schema.mediaId)
    .output(schema.mediaItem)
    .mutation(async ({ ctx, input }) => toMediaItem(ctx.services, await removeMedia(ctx.db, input.id))),
  restore: write
    .input(schema.mediaId)
    .output(schema.mediaItem)
    .mutation(async ({ ctx, input }) => toMediaItem(ctx.services, await restoreMedia(ctx.db, input.id))),
  downloadUrl: read
    .input(schema.mediaId)
    .output(schema.downloadUrl)
    .query(async ({ ctx, input }) =>
      createDownloadUrl(ctx.services, await getMediaFor(ctx.db, input.id, 'download')),
    ),
})
