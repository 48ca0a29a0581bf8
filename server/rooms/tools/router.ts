// Tools: the catalogue of tools that agents may call, and which of them a user has enabled and configured.
// Open to sessions, and to API tokens with tools:read or tools:write. Only migrations and the operator write
// the catalogue.
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
