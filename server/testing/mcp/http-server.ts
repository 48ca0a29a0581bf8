import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { serveTools } from './tools.ts'

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  url: string,
) => void | Promise<void>

export interface HttpFixture extends AsyncDisposable {
  /** The URL with the usual path of MCP servers. */
  readonly url: string
  readonly origin: string
  /** The requests so far, such as `POST /mcp`. */
  readonly requests: string[]
}

/** An HTTP server with one handler, on a free port of this machine. */
export async function serveHttp(handler: Handler): Promise<HttpFixture> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.on('error', () => {})
    Promise.resolve(handler(request, response, origin)).catch(() => response.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `${origin}/mcp`,
    origin,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const toolServer = () =>
  serveTools(new Server({ name: 'tools', version: '1' }, { capabilities: { tools: {} } }))

/** The SDK's own server over streamable HTTP, with sessions. */
export function streamableTools(): Handler {
  const sessions = new Map<string, StreamableHTTPServerTransport>()
  return async (request, response) => {
    const id = request.headers['mcp-session-id']
    const known = typeof id === 'string' ? sessions.get(id) : undefined
    if (known) return known.handleRequest(request, response)
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: session => void sessions.set(session, transport),
    })
    await toolServer().connect(transport)
    await transport.handleRequest(request, response)
  }
}

/**
 * The SDK's own server for the first version of the protocol: events over GET, messages over POST to another
 * path.
 */
export function sseTools(): Handler {
  const sessions = new Map<string, SSEServerTransport>()
  return async (request, response, origin) => {
    const url = new URL(request.url ?? '/', origin)
    const known = sessions.get(url.searchParams.get('sessionId') ?? '')
    if (known) return known.handlePostMessage(request, response)
    if (request.method !== 'GET') return void response.writeHead(405).end()
    const transport = new SSEServerTransport('/messages', response)
    sessions.set(transport.sessionId, transport)
    await toolServer().connect(transport)
  }
}

/** Parses a message's JSON; notifications have no id. */
export async function messageOf(request: IncomingMessage): Promise<{ id?: number; method?: string }> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
}

/**
 * A minimal server that answers each method with a result, accepts notifications and never opens a stream.
 */
export function scripted(results: Readonly<Record<string, unknown>>): Handler {
  return async (request, response) => {
    if (request.method !== 'POST') return void response.writeHead(405).end()
    const { id, method = '' } = await messageOf(request)
    if (id === undefined) return void response.writeHead(202).end()
    const result = results[method]
    if (result === undefined) return
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
  }
}

export const JSON_TYPE = { 'content-type': 'application/json' }

/** Sends endlessly, as fast as it is read. */
export const flood =
  (contentType: string, chunk: string, sent: { bytes: number }): Handler =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': contentType })
    const more = () => {
      let hasRoom = true
      while (hasRoom && !response.destroyed) {
        hasRoom = response.write(chunk)
        sent.bytes += chunk.length
      }
    }
    response.on('drain', more)
    more()
  }

export const answers =
  (status: number, headers: Record<string, string>, body: string | Buffer = ''): Handler =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body)
