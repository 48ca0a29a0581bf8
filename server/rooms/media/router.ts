// Media: what users upload, for sessions and API tokens with media:read or media:write. A file never passes through here: it goes
// to an address that createUpload gives out and comes from one that downloadUrl does, signed and for an hour, on this server's disk
// or in a bucket. Completing looks at what has arrived, and believes nothing that was said of it. A removed item is hidden and keeps
// its file, so that it can come back.
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
