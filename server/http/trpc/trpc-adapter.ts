import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { AnyTRPCRouter } from '@trpc/server'
import { nodeHTTPRequestHandler } from '@trpc/server/adapters/node-http'
import { MAX_BODY_BYTES } from '../body.ts'
import { noteError } from './call-error.ts'
import { contextInputOf } from './context-input.ts'
import { commonHeaders, type Exchange, endExchange, procedureHeaders } from './exchange.ts'
import { MAX_BATCH_SIZE, TRPC_PREFIX } from './plain-request.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

/** How long the client may leave its answer unread. */
const STALL_MS = 120_000

/** Hands a request to tRPC's own adapter, with its body, which was read already. */
export function createTrpcAdapter(options: TrpcHandlerOptions) {
  const { router, createContext, load, metrics, log, streams, origins } = options

  return function handOver(exchange: Exchange, body: string | Buffer | undefined): void {
    const { req, res } = exchange
    const path = pathOf(req.url ?? '')
    const common = commonHeaders(exchange, origins)
    for (let index = 0; index < common.length; index += 2) {
      res.setHeader(common[index] ?? '', common[index + 1] ?? '')
    }
    const controller = new AbortController()
    const slot = load.take()
    res.on('close', () => {
      if (!res.writableEnded) controller.abort()
      slot.release()
      const isStream = streams.delete(res)
      if (!isStream) {
        metrics.countCall(procedureName(router, path), res.statusCode, performance.now() - exchange.startedAt)
      }
      endExchange(exchange, res.statusCode, log)
    })
    void nodeHTTPRequestHandler({
      router,
      req: withBody(req, body),
      res,
      path,
      maxBatchSize: MAX_BATCH_SIZE,
      maxBodySize: MAX_BODY_BYTES,
      createContext: async () => {
        const { signal } = controller
        exchange.context = createContext(contextInputOf(exchange, options, { signal, aside: slot.aside }))
        return exchange.context
      },
      onError: failure => noteError(exchange, failure, log),
      responseMeta: ({ type }) => {
        if (options.isDraining()) res.shouldKeepAlive = false
        if (type === 'subscription') {
          // A subscription stays for hours and waits most of them.
          slot.release()
          streams.add(res)
        } else {
          res.setTimeout(options.stallMs ?? STALL_MS, () => res.destroy())
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

/** The adapter takes text from the message's property of that name, and everything else from a stream. */
function withBody(req: IncomingMessage, body: string | Buffer | undefined): IncomingMessage {
  if (body === undefined) return req
  if (typeof body === 'string') return Object.assign(req, { body })
  const { method, url, headers, socket } = req
  return Object.assign(Readable.from([body]), { method, url, headers, socket }) as unknown as IncomingMessage
}
