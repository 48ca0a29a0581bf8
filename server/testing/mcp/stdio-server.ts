import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { serveTools } from './tools.ts'

await serveTools(new Server({ name: 'tools', version: '1' }, { capabilities: { tools: {} } })).connect(
  new StdioServerTransport(),
)
