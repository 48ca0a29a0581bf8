import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request to a provider. */
export interface ProviderRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface ProviderAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent unchanged, anything else as JSON. */
  readonly body?: unknown
}

/** The answer of a failing provider. */
type Garbage = 'html' | 'cut' | 'empty' | 'null' | 'broken'

/** Requests that a provider holds until the test releases them. */
interface Held {
  /** Resolves once this many requests wait. */
  waiting(count: number): Promise<void>
  release(): void
}

/**
 * Watches a provider and makes it fail. An endpoint is `POST /oauth/token`; without one, all endpoints are
 * meant.
 */
export interface ProviderControls {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  /** The number of requests, answered or not. */
  calls(endpoint?: string): number
  /** All requests, oldest first. */
  readonly requests: readonly ProviderRequest[]
  forgetCalls(): void
  /** Refuses the next requests for their rate, as this provider does. */
  limitNext(count: number, options?: { retryAfterSeconds?: number; endpoint?: string }): void
  /** Answers the next requests with garbage. */
  garbleNext(count: number, garbage: Garbage, endpoint?: string): void
  /** Answers the next requests with this answer. */
  answerNext(count: number, answer: ProviderAnswer, endpoint?: string): void
  /** Holds requests until they are released. */
  hold(endpoint?: string): Held
  /** Closes connections without an answer, until `comeBack`. */
  goDown(): void
  comeBack(): void
  close(): Promise<void>
}

export interface FakeServerOptions {
  answer(request: ProviderRequest): ProviderAnswer | Promise<ProviderAnswer>
  limited(retryAfterSeconds: number, request: ProviderRequest): ProviderAnswer
}

interface Planned {
  left: number
  readonly endpoint: string | undefined
  act(request: ProviderRequest, response: ServerResponse): void
}

interface Gate {
  readonly endpoint: string | undefined
  arrived: number
  readonly opened: Promise<void>
  readonly watchers: Set<() => void>
}

const MAX_BODY_BYTES = 1_000_000

/** An HTTP server on this machine with scripted answers and failures. */
export async function openFakeServer(options: FakeServerOptions): Promise<ProviderControls> {
  const requests: ProviderRequest[] = []
  const planned: Planned[] = []
  const gates = new Set<Gate>()
  let isDown = false
  let outages = 0

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch(error => {
      // A fake that throws is a bug of the test, and must not look like a provider's failure.
      console.error('a fake provider failed', error)
      response.destroy()
    })
  })

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    if (isDown) {
      incoming.socket.destroy()
      return
    }
    const outagesBefore = outages
    const request = await readRequest(incoming)
    requests.push(request)
    await Promise.all([...gates].filter(gate => isFor(gate.endpoint, request)).map(pass))
    // Requests in flight when the provider went down are lost, even after it is back.
    if (outages !== outagesBefore) {
      response.destroy()
      return
    }
    const plan = planned.find(candidate => candidate.left > 0 && isFor(candidate.endpoint, request))
    if (plan) {
      plan.left -= 1
      plan.act(request, response)
      return
    }
    send(response, await options.answer(request))
  }

  function plan(count: number, endpoint: string | undefined, act: Planned['act']): void {
    planned.push({ left: count, endpoint, act })
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    calls: endpoint => requests.filter(request => isFor(endpoint, request)).length,
    forgetCalls() {
      requests.length = 0
    },
    limitNext(count, { retryAfterSeconds = 30, endpoint } = {}) {
      plan(count, endpoint, (request, response) =>
        send(response, options.limited(retryAfterSeconds, request)),
      )
    },
    garbleNext(count, garbage, endpoint) {
      plan(count, endpoint, (_request, response) => garble(response, garbage))
    },
    answerNext(count, answer, endpoint) {
      plan(count, endpoint, (_request, response) => send(response, answer))
    },
    hold(endpoint) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const gate: Gate = { endpoint, arrived: 0, opened: promise, watchers: new Set() }
      gates.add(gate)
      return {
        waiting: count => arrivals(gate, count),
        release() {
          gates.delete(gate)
          resolve()
        },
      }
    },
    goDown() {
      isDown = true
      outages += 1
      server.closeAllConnections()
    },
    comeBack() {
      isDown = false
    },
    close() {
      server.closeAllConnections()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}

/** The members of a form, a JSON document or a query string, as flat text. */
export function parametersOf(request: ProviderRequest): Map<string, string> {
  const type = request.headers['content-type'] ?? ''
  if (type.startsWith('application/json')) return new Map(Object.entries(jsonOf(request)).filter(isText))
  if (type.startsWith('application/x-www-form-urlencoded')) return new Map(new URLSearchParams(request.body))
  return new Map(request.query)
}

/** The JSON object of a body; an empty object for anything else. */
export function jsonOf(request: ProviderRequest): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(request.body)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** The token of an `Authorization` header; null without one. */
export function bearerOf(request: ProviderRequest): string | null {
  return /^(?:bearer|token) (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null
}

/** The id and secret of HTTP Basic authentication; null without one. */
export function basicOf(request: ProviderRequest): { id: string; secret: string } | null {
  const encoded = /^basic (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (!encoded) return null
  const [id = '', ...secret] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
  return { id, secret: secret.join(':') }
}

/** Redirects a browser to a URL with these parameters. */
export function redirect(to: string, parameters: Readonly<Record<string, string | null>>): ProviderAnswer {
  const url = new URL(to)
  for (const [name, value] of Object.entries(parameters))
    if (value !== null) url.searchParams.set(name, value)
  return { status: 302, headers: { location: url.href } }
}

function isText(entry: [string, unknown]): entry is [string, string] {
  return typeof entry[1] === 'string'
}

function isFor(endpoint: string | undefined, request: ProviderRequest): boolean {
  return endpoint === undefined || endpoint === `${request.method} ${request.path}`
}

async function pass(gate: Gate): Promise<void> {
  gate.arrived += 1
  for (const watcher of [...gate.watchers]) watcher()
  await gate.opened
}

function arrivals(gate: Gate, count: number): Promise<void> {
  return new Promise(resolve => {
    const watcher = () => {
      if (gate.arrived < count) return
      gate.watchers.delete(watcher)
      resolve()
    }
    gate.watchers.add(watcher)
    watcher()
  })
}

async function readRequest(incoming: IncomingMessage): Promise<ProviderRequest> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_BODY_BYTES) throw new Error('a request to a fake provider is too large')
    chunks.push(bytes)
  }
  const url = new URL(incoming.url ?? '/', 'http://provider')
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: Buffer.concat(chunks).toString('utf8'),
  }
}

function send(response: ServerResponse, { status, headers = {}, body }: ProviderAnswer): void {
  const isText = typeof body === 'string'
  const type = isText ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8'
  response.writeHead(status, body === undefined ? headers : { 'content-type': type, ...headers })
  response.end(body === undefined || isText ? body : JSON.stringify(body))
}

function garble(response: ServerResponse, garbage: Garbage): void {
  if (garbage === 'html') {
    send(response, { status: 200, body: '<!doctype html><title>Maintenance</title>' })
  } else if (garbage === 'empty') {
    send(response, { status: 200, body: {} })
  } else if (garbage === 'null') {
    send(response, { status: 200, body: null })
  } else if (garbage === 'broken') {
    send(response, { status: 502, body: '<html><h1>502 Bad Gateway</h1></html>' })
  } else {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"ok":true,"access_token":"', () => response.destroy())
  }
}
