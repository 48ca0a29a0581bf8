import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '#server/app/logger.ts'
import type { Metrics } from '#server/app/metrics.ts'
import { type Load, overloaded, type Slot } from './load.ts'
import { isPreflight, type Origins } from './origins.ts'
import { checkQuery } from './utf8.ts'

export interface GateOptions {
  origins: Origins
  load: Load
  metrics: Metrics
  log: Logger
  isDraining: () => boolean
}

export interface Gate {
  /** Runs what waits in a queue so that it takes no capacity from other calls. */
  readonly asideOf: (request: FastifyRequest) => Slot['aside']
}

/** Asked by those who watch the server, above all when it is busy. */
const ALWAYS_ADMITTED = new Set(['/healthz', '/readyz', '/metrics'])

/** What every request besides tRPC's passes: request id, origin, load; and what is counted and logged of it. */
export function addGate(
  fastify: FastifyInstance,
  { origins, load, metrics, log, isDraining }: GateOptions,
): Gate {
  const slots = new WeakMap<FastifyRequest, Slot>()
  fastify.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const { headers, method } = request
    reply.header('x-request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    if (isPreflight(method, headers)) {
      return reply.code(204).headers(origins.preflightHeaders(request.raw)).send()
    }
    const cors = origins.headersFor(request.raw)
    if (cors) reply.headers({ ...cors, vary: 'origin' })
    const refusal = origins.refusalOf(request.raw)
    if (refusal) throw refusal
    checkQuery(request.raw.url ?? '')
  })
  // Once the body is there: whoever sends theirs slowly is no work, and must not keep others out.
  fastify.addHook('preHandler', async (request: FastifyRequest, reply: FastifyReply) => {
    if (request.routeOptions.url !== undefined && ALWAYS_ADMITTED.has(request.routeOptions.url)) return
    if (load.isOverloaded()) {
      metrics.countShed()
      await load.refusalTurn()
      throw overloaded()
    }
    // The client is gone: no `close` event will come.
    if (reply.raw.destroyed) return
    const slot = load.take()
    slots.set(request, slot)
    reply.raw.once('close', slot.release)
  })
  // A `close` event alone is not enough: none comes while nobody reads the connection, as after an upload whose file failed,
  // or while a client leaves its answers unread.
  fastify.addHook('onSend', async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
    if (isDraining()) reply.header('connection', 'close')
    if (!isStream(payload)) slots.get(request)?.release()
  })
  fastify.addHook('onRoute', route => {
    const { handler } = route
    route.handler = async function (request, reply) {
      try {
        return await handler.call(this, request, reply)
      } finally {
        // Nobody sends an answer after this handler.
        if (reply.sent) slots.get(request)?.release()
      }
    }
  })
  fastify.addHook('onResponse', async (request: FastifyRequest, reply: FastifyReply) => {
    const { method, id } = request
    // The route, not the path: some paths carry what opens something, such as a download or a password reset.
    const route = request.routeOptions.url ?? 'unknown'
    const durationMs = Math.round(reply.elapsedTime * 100) / 100
    metrics.countCall(route, reply.statusCode, durationMs)
    log.debug({ requestId: id, method, route, status: reply.statusCode, durationMs }, 'request')
  })
  return { asideOf: request => slots.get(request)?.aside ?? (work => work()) }
}

function isStream(payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && ('pipe' in payload || 'getReader' in payload)
}
