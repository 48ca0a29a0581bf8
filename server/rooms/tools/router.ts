// Tools: the catalogue of what agents may call, and what a user has enabled and set up of it. For sessions, and for API tokens
// with tools:read or tools:write. The catalogue itself is written by migrations and the operator, never from here.
import { procedure, router } from '#server/rpc/trpc.ts'
import { disableTool, enableTool, listTools } from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('tools:read')
const write = procedure('tools:write')

export const toolsRouter = router({
  list: read.output(schema.tools).query(({ ctx }) => listTools(ctx.db)),
  enable: write
    .input(schema.enableTool)
    .output(schema.tool)
    .mutation(({ ctx, input }) => enableTool(ctx.db, input)),
  disable: write
    .input(schema.toolSlug)
    .output(schema.tool)
    .mutation(({ ctx, input }) => disableTool(ctx.db, input.slug)),
})
