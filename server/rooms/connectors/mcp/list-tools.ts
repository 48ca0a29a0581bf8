import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { z } from 'zod'
import type { McpTool } from '../schema.ts'
import { McpFailure } from './failure.ts'
import { storableCopies } from './storable.ts'

const MAX_PAGES = 100
const MAX_TOOLS = 1_000
const MAX_TOOLS_BYTES = 512 * 1024

// The SDK's own schema requires more of an input schema than some servers send.
const toolPage = z.looseObject({
  tools: z.array(
    z.looseObject({
      name: z.string(),
      description: z.string().optional(),
      inputSchema: z.record(z.string(), z.unknown()).default({ type: 'object' }),
    }),
  ),
  nextCursor: z.string().optional(),
})

const storedTool = z.object({
  name: z.string(),
  description: z.string().nullable(),
  inputSchema: z.record(z.string(), z.unknown()),
})

/**
 * Lists all pages of a server's tools. Fails if the list is too long, so a stored list is always complete.
 * Uses `request` instead of `listTools`, which would compile schemas of an untrusted server.
 */
export async function listAllTools(
  client: Client,
  options: { timeoutMs: number; secrets: readonly string[] },
): Promise<McpTool[]> {
  if (!client.getServerCapabilities()?.tools) return []
  const storable = storableCopies(options.secrets)
  const tools: McpTool[] = []
  let sizeBytes = 0
  let cursor: string | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const request = { method: 'tools/list' as const, params: cursor === undefined ? {} : { cursor } }
    const result = await client.request(request, toolPage, { timeout: options.timeoutMs })
    for (const { name, description = null, inputSchema } of result.tools) {
      const tool = storedTool.parse(storable({ name, description, inputSchema }))
      sizeBytes += Buffer.byteLength(JSON.stringify(tool))
      if (tools.length === MAX_TOOLS) throw new McpFailure(`the server lists more than ${MAX_TOOLS} tools`)
      if (sizeBytes > MAX_TOOLS_BYTES)
        throw new McpFailure(`the server's tool list is larger than ${MAX_TOOLS_BYTES / 1024} KiB`)
      tools.push(tool)
    }
    cursor = result.nextCursor
    // Some servers end their list with an empty cursor.
    if (!cursor) return tools
  }
  throw new McpFailure(`the server's tool list does not end within ${MAX_PAGES} pages`)
}
