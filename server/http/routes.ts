import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Metrics } from '#server/app/metrics.ts'
import { PROVIDERS } from '#server/rooms/connections/schema.ts'
import { AppError } from '#server/rpc/errors.ts'
import { MAX_BODY_BYTES, tooLarge } from './body.ts'
import type { ReadClientAddress } from './client-address.ts'
import type { Gate } from './gate.ts'
import type { Slot } from './load.ts'
import { sendWebResponse, toWebRequest } from './web-request.ts'

export interface AuthHandler {
  handler: (
    request: Request,
    client: { ipAddress: string; port: number | undefined; aside: Slot['aside'] },
  ) => Promise<Response>
}

export interface Readiness {
  ok: boolean
  /** What is missing, in words that may be shown to anyone. */
  reason?: string
}

export interface RouteOptions extends Gate {
  appUrl: string
  auth: AuthHandler
  clientAddress: ReadClientAddress
  metrics: Metrics
  readiness: () => Promise<Readiness>
  isDraining: () => boolean
}

/** Paths with their methods, for the difference between 404 and 405. */
const METHODS_BY_PATH = [
  [/^\/(healthz|readyz|metrics)$/, 'GET, HEAD'],
  [/^\/api\/auth\//, 'GET, POST'],
  [new RegExp(`^/oauth/(${PROVIDERS.join('|')})/callback$`), 'GET'],
  [new RegExp(`^/webhooks/(${PROVIDERS.join('|')})$`), 'POST'],
] as const satisfies readonly (readonly [RegExp, string])[]

/** Everything besides `/trpc`: signing in, health, metrics, and the answer to what does not exist. */
export function addRoutes(fastify: FastifyInstance, options: RouteOptions): void {
  addAuth(fastify, options)
  addHealth(fastify, options)
  fastify.get('/metrics', async (_request: FastifyRequest, reply: FastifyReply) => {
    const { registry } = options.metrics
    return reply.type(registry.contentType).send(await registry.metrics())
  })
  fastify.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = METHODS_BY_PATH.find(([pattern]) => pattern.test(path))?.[1]
    if (allowed === undefined) return refuse(reply, 404, { code: 'NOT_FOUND', message: 'not found' })
    reply.header('allow', allowed)
    return refuse(reply, 405, { code: 'METHOD_NOT_SUPPORTED', message: `${path} answers ${allowed}` })
  })
  fastify.setErrorHandler(answerError)
}

function addAuth(fastify: FastifyInstance, { auth, appUrl, clientAddress, asideOf }: RouteOptions): void {
  // The body goes on as it came: the library reads it.
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES },
    (_request, body, done) => done(null, body),
  )
  fastify.route({
    method: ['GET', 'POST'],
    url: '/api/auth/*',
    exposeHeadRoute: false,
    handler: async (
      request: FastifyRequest<{ Body: Buffer<ArrayBuffer> | undefined }>,
      reply: FastifyReply,
    ) => {
      const body = request.method === 'POST' ? request.body : undefined
      const ipAddress = clientAddress(request.raw) ?? ''
      const left = new AbortController()
      reply.raw.once('close', () => {
        if (!reply.raw.writableEnded) left.abort()
      })
      const webRequest = toWebRequest(request.raw, { appUrl, body, signal: left.signal })
      const response = await auth.handler(webRequest, {
        ipAddress,
        port: request.raw.socket.localPort,
        aside: asideOf(request),
      })
      return sendWebResponse(reply, response)
    },
  })
}

function addHealth(fastify: FastifyInstance, { readiness, isDraining }: RouteOptions): void {
  fastify.get('/healthz', async () => ({ ok: true }))
  fastify.get('/readyz', async (_request: FastifyRequest, reply: FastifyReply) => {
    const state = isDraining() ? { ok: false, reason: 'draining' } : await readiness().catch(notReady)
    return reply.code(state.ok ? 200 : 503).send(state)
  })
}

function notReady(): Readiness {
  return { ok: false, reason: 'the check failed' }
}

interface Refusal {
  code: string
  message: string
  reason?: string
}

/** An error outside of tRPC, in the shape that the sign-in library's clients read. */
function refuse(reply: FastifyReply, status: number, refusal: Refusal): FastifyReply {
  return reply.code(status).send(refusal)
}

const STATUS_BY_CODE: Record<string, number> = {
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  SERVICE_UNAVAILABLE: 503,
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = isTooLarge(error) ? tooLarge() : error
  if (known instanceof AppError) {
    const { code, message, reason } = known
    if (known.isFault) request.log.error({ requestId: request.id, err: known.cause }, message)
    if (known.details.retryAt)
      reply.header(
        'retry-after',
        Math.max(1, Math.ceil((known.details.retryAt.getTime() - Date.now()) / 1000)),
      )
    return refuse(reply, STATUS_BY_CODE[code] ?? 400, { code, message, reason })
  }
  const status = statusOf(error)
  if (status < 500) return refuse(reply, status, { code: 'BAD_REQUEST', message: 'the request is malformed' })
  request.log.error({ requestId: request.id, err: error }, 'a request failed')
  return refuse(reply, 500, {
    code: 'INTERNAL_SERVER_ERROR',
    message: 'something went wrong; it has been logged',
    reason: 'internal',
  })
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'FST_ERR_CTP_BODY_TOO_LARGE'
}

function statusOf(error: unknown): number {
  if (!(error instanceof Error) || !('statusCode' in error)) return 500
  return typeof error.statusCode === 'number' ? error.statusCode : 500
}
