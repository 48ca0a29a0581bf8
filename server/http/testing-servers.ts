// Servers and a client for the tests of the HTTP surface. The client sends what it is given, byte for byte.

import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TRPCError } from '@trpc/server'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { type App, type AppOptions, buildApp } from '#server/app/app.ts'
import { createLogger } from '#server/app/logger.ts'
import { MAX_BODY_BYTES } from './body.ts'
import { createTestRouter, type TestContext, type TestHooks, type Transformer } from './testing-router.ts'
import type { ContextInput } from './trpc/context-input.ts'
import { MAX_BATCH_SIZE } from './trpc/plain-request.ts'

export const APP_URL = 'https://app.example.com'

export interface TestRequest {
  method?: string
  path: string
  headers?: Record<string, string | string[]>
  body?: string | Uint8Array
}

export interface TestAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: string
}

export interface TestServer {
  port: number
  close(): Promise<void>
}

function createContext({ headers }: Pick<ContextInput, 'headers'>): TestContext {
  if (headers['x-context'] === 'expected')
    throw new TRPCError({ code: 'UNAUTHORIZED', message: 'no context' })
  if (headers['x-context'] === 'unexpected') throw new Error('no context')
  return { name: `caller ${headers['x-name']}` }
}

/** tRPC's own handler. */
export async function startReference(transformer: Transformer, hooks?: TestHooks): Promise<TestServer> {
  const handler = createHTTPHandler({
    router: createTestRouter(transformer, 'reference', hooks),
    basePath: '/trpc/',
    maxBatchSize: MAX_BATCH_SIZE,
    maxBodySize: MAX_BODY_BYTES,
    createContext: ({ req }) => createContext({ headers: req.headers }),
  })
  const server: Server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export interface StartOptions extends Partial<Omit<AppOptions, 'config'>> {
  transformer?: Transformer
  hooks?: TestHooks
  config?: Partial<AppOptions['config']>
}

/** Ours, on a free port. */
export async function startApp(options: StartOptions = {}): Promise<TestServer & { app: App }> {
  const { transformer = 'superjson', hooks, config, ...rest } = options
  const app = buildApp({
    log: createLogger({ level: 'silent' }),
    router: createTestRouter(transformer, 'ours', hooks),
    createContext,
    auth: { handler: async () => new Response('not here', { status: 404 }) },
    readiness: async () => ({ ok: true }),
    ...rest,
    config: {
      host: '127.0.0.1',
      port: 0,
      appUrl: APP_URL,
      allowedOrigins: ['https://friend.example.com'],
      environment: 'test',
      ...config,
    },
  })
  const url = new URL(await app.listen())
  return { app, port: Number(url.port), close: () => app.drain(500) }
}

/** Sends a request on a connection of its own and reads the whole answer. */
export function send(
  port: number,
  { method = 'GET', path, headers = {}, body }: TestRequest,
): Promise<TestAnswer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const options = {
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: { ...length, ...headers },
      agent: false,
    }
    const outgoing = request(options, incoming => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('error', reject)
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** `send` with a JSON body. */
export function post(
  port: number,
  path: string,
  json: unknown,
  headers: Record<string, string> = {},
): Promise<TestAnswer> {
  return send(port, {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof json === 'string' ? json : JSON.stringify(json),
  })
}
