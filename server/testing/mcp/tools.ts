import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

/** Three tools on two pages. */
export const TOOLS = ['search', 'read', 'write'].map(name => ({
  name,
  description: `Lets the agent ${name}.`,
  inputSchema: { type: 'object' as const, properties: { path: { type: 'string' } }, required: ['path'] },
}))

/** Answers tools/list with TOOLS, two per page. */
export function serveTools(server: Server): Server {
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) =>
    params?.cursor === 'second'
      ? { tools: TOOLS.slice(2) }
      : { tools: TOOLS.slice(0, 2), nextCursor: 'second' },
  )
  return server
}
