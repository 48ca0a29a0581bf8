import type { IncomingMessage } from 'node:http'
import type { AnyTRPCRouter } from '@trpc/server'
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http'
import { MAX_BODY_BYTES } from './body.ts'
import { commonHeaders, type Exchange, endExchange, noteError, procedureHeaders } from './exchange.ts'
import { TRPC_PREFIX } from './plain-request.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

/**
 * Hands a request to tRPC's own adapter. `body` is a JSON body that was read already; without one the adapter streams
 * what is left of the request.
 */
export function createTrpcAdapter(options: TrpcHandlerOptions, maxBatchSize: number) {
  const { router, createContext, load, metrics, log, streams, origins } = options

  return function handOver(exchange: Exchange, body: string | undefined): void {
    const { req, res } = exchange
    const path = pathOf(req.url ?? '')
    const common = commonHeaders(exchange, origins)
    for (let index = 0; index < common.length; index += 2) {
      res.setHeader(common[index] ?? '', common[index + 1] ?? '')
    }
    if (options.isDraining()) res.shouldKeepAlive = false
    const controller = new AbortController()
    let isCounted = true
    load.inFlight++
    const stopCounting = () => {
      if (isCounted) load.inFlight--
      isCounted = false
    }
    res.on('close', () => {
      if (!res.writableEnded) controller.abort()
      stopCounting()
      const isStream = streams.delete(res)
      if (!isStream) {
        metrics.countCall(procedureName(router, path), res.statusCode, performance.now() - exchange.startedAt)
      }
      endExchange(exchange, res.statusCode, log)
    })
    void nodeHTTPRequestHandler({
      router,
      req: body === undefined ? req : withBody(req, body),
      res,
      path,
      maxBatchSize,
      maxBodySize: MAX_BODY_BYTES,
      createContext: async () => {
        exchange.context = createContext({
          method: req.method ?? 'GET',
          headers: req.headers,
          ipAddress: options.clientAddress(req),
          requestId: exchange.requestId,
          signal: controller.signal,
        })
        return exchange.context
      },
      onError: failure => noteError(exchange, { ...failure, path: failure.path }, log),
      responseMeta: ({ type }) => {
        if (type === 'subscription') {
          // A subscription stays for hours and waits most of them.
          stopCounting()
          streams.add(res)
        }
        const headers = new Headers()
        if (req.headers.origin !== undefined) headers.append('vary', 'origin')
        const added = procedureHeaders(exchange)
        for (let index = 0; index < added.length; index += 2) {
          headers.append(added[index] ?? '', added[index + 1] ?? '')
        }
        return { headers }
      },
    })
  }
}

/** The procedures' path as the URL parser sees it; a path that climbs out of the prefix names none. */
function pathOf(url: string): string {
  const { pathname } = new URL(url, 'http://localhost')
  return pathname.startsWith(TRPC_PREFIX) ? pathname.slice(TRPC_PREFIX.length) : ''
}

/** A metric's label: only what the router knows, since callers choose paths and every label is kept. */
function procedureName(router: AnyTRPCRouter, path: string): string {
  return router._def.procedures[path] ? path : 'unknown'
}

/** The adapter takes a body that was read already from the message's property of that name. */
function withBody(req: IncomingMessage, body: string): IncomingMessage & { body: string } {
  return Object.assign(req, { body })
}
