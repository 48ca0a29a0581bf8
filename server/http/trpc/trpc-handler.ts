import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AnyTRPCRouter, TRPCError } from '@trpc/server'
import type { Logger } from '#server/app/logger.ts'
import type { Metrics } from '#server/app/metrics.ts'
import { AppError } from '#server/rpc/errors.ts'
import { MAX_BODY_BYTES, RequestAbortedError, readBody, readBytes, tooLarge } from '../body.ts'
import type { ReadClientAddress } from '../client-address.ts'
import { type Load, overloaded } from '../load.ts'
import { isPreflight, type Origins } from '../origins.ts'
import { checkQuery } from '../utf8.ts'
import type { CreateHttpContext } from './context-input.ts'
import {
  beginExchange,
  commonHeaders,
  type Exchange,
  endExchange,
  noteError,
  procedureHeaders,
  VARY,
} from './exchange.ts'
import { MAX_JSON_DEPTH, nestsTooDeep } from './json-depth.ts'
import { createLiveAnswers } from './live-answer.ts'
import { readLiveRequest } from './live-request.ts'
import { answerPlainCalls, describeError } from './plain-calls.ts'
import { isJson, type PlainRequest, readPlainRequest, TRPC_PREFIX } from './plain-request.ts'
import { createTrpcAdapter } from './trpc-adapter.ts'

/** Calls in one batch. */
export const MAX_BATCH_SIZE = 20

const METHODS = new Set(['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE'])

export interface TrpcHandlerOptions {
  router: AnyTRPCRouter
  createContext: CreateHttpContext
  clientAddress: ReadClientAddress
  origins: Origins
  load: Load
  metrics: Metrics
  log: Logger
  /** True once the server goes away: connections are not kept. */
  isDraining: () => boolean
  /** Subscriptions being served. */
  streams: Set<ServerResponse>
  /** How long a stream's reader may leave its buffer full. */
  stallMs?: number
}

/**
 * Answers requests below `/trpc/`. Plain calls, batches and live streams take the short way; forms and everything
 * unusual take tRPC's own adapter. All pass the same checks: origin, size, depth, load.
 */
export function createTrpcHandler(options: TrpcHandlerOptions) {
  const adapter = createTrpcAdapter(options, MAX_BATCH_SIZE)
  const answerLive = createLiveAnswers(options)

  return function handleTrpc(req: IncomingMessage, res: ServerResponse): void {
    const exchange = beginExchange(req, res)
    handle(exchange).catch(cause => fail(options, exchange, cause))
  }

  async function handle(exchange: Exchange): Promise<void> {
    const { req, res } = exchange
    const { method = 'GET', headers } = req
    if (isPreflight(method, headers)) {
      res.writeHead(204, options.origins.preflightHeaders(req)).end()
      return
    }
    if (!METHODS.has(method)) {
      throw new TRPCError({ code: 'METHOD_NOT_SUPPORTED', message: `Unsupported method ${method}` })
    }
    const refusal = options.origins.refusalOf(req)
    if (refusal) throw refusal
    checkQuery(req.url ?? '')
    const request = readPlainRequest(options.router, req, MAX_BATCH_SIZE)
    if (addressNestsTooDeep(req.url ?? '')) throw tooDeep()
    const body = method === 'GET' || method === 'HEAD' ? undefined : await readWhole(req)
    if (options.load.isOverloaded()) {
      await options.load.refusalTurn()
      throw overloaded()
    }
    const live = request === null ? readLiveRequest(options.router, req) : null
    if (live) await answerLive(exchange, live)
    else if (request === null) adapter(exchange, body)
    else await answerPlain(exchange, request, typeof body === 'string' ? body : '')
  }

  async function answerPlain(exchange: Exchange, request: PlainRequest, body: string): Promise<void> {
    const { req, res } = exchange
    const { load, metrics, log, router } = options
    const controller = new AbortController()
    res.on('close', () => {
      if (!res.writableEnded) controller.abort()
    })
    const slot = load.take(request.paths.length)
    try {
      const answer = await answerPlainCalls({
        router,
        method: req.method ?? 'GET',
        request,
        body,
        signal: controller.signal,
        createContext: () => {
          exchange.context = options.createContext({
            method: req.method ?? 'GET',
            headers: req.headers,
            ipAddress: options.clientAddress(req),
            requestId: exchange.requestId,
            signal: controller.signal,
            aside: slot.aside,
          })
          return exchange.context
        },
        onError: failure => noteError(exchange, failure, log),
        onCall: (index, status) => {
          const name = request.procedures[index] ? request.paths[index] : undefined
          metrics.countCall(name ?? 'unknown', status, performance.now() - exchange.startedAt)
        },
      })
      send(options, exchange, answer.status, answer.body)
    } finally {
      slot.release()
    }
  }
}

/** A body, JSON as its text, within the limits. Read before the call is counted: one that comes slowly takes no capacity. */
async function readWhole(req: IncomingMessage): Promise<string | Buffer> {
  const contentType = req.headers['content-type']
  if (Number(req.headers['content-length']) > 8 * MAX_BODY_BYTES) throw tooLarge()
  if (contentType === undefined || !isJson(contentType)) return readBytes(req, MAX_BODY_BYTES)
  const body = await readBody(req)
  if (nestsTooDeep(body)) throw tooDeep()
  return body
}

/** Whether JSON in the query string nests too deep. */
function addressNestsTooDeep(url: string): boolean {
  if (url.length <= 2 * MAX_JSON_DEPTH) return false
  const question = url.indexOf('?')
  if (question === -1) return false
  for (const value of new URLSearchParams(url.slice(question)).values()) if (nestsTooDeep(value)) return true
  return false
}

function tooDeep(): AppError {
  return new AppError('invalid_input', `the input nests more than ${MAX_JSON_DEPTH} levels deep`)
}

function send(options: TrpcHandlerOptions, exchange: Exchange, status: number, body: string): void {
  const { req, res } = exchange
  if (res.headersSent || res.destroyed) {
    endExchange(exchange, 499, options.log)
    return
  }
  const headers = commonHeaders(exchange, options.origins)
  const vary = req.headers.origin === undefined ? VARY : `${VARY}, origin`
  headers.push(
    'vary',
    vary,
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
  )
  if (exchange.context?.takeResponseHeaders || exchange.retryAt) headers.push(...procedureHeaders(exchange))
  // A body that was not read to its end would be taken for the next request.
  if (options.isDraining() || !req.complete) headers.push('connection', 'close')
  res.writeHead(status, headers)
  res.end(body)
  endExchange(exchange, status, options.log)
}

/** Answers what was refused before any procedure ran, in the router's error shape. */
function fail(options: TrpcHandlerOptions, exchange: Exchange, cause: unknown): void {
  if (cause instanceof RequestAbortedError) return
  const { router, log, metrics } = options
  const path = exchange.req.url?.slice(TRPC_PREFIX.length).split('?', 1)[0]
  const error =
    cause instanceof AppError
      ? new TRPCError({ code: cause.code, message: cause.message, cause })
      : cause instanceof TRPCError
        ? cause
        : new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: 'internal error', cause })
  noteError(exchange, { error, path, type: 'unknown', input: undefined, ctx: undefined }, log)
  let answer: { status: number; body: string }
  try {
    answer = describeError(router, { error, path, type: 'unknown', ctx: undefined })
  } catch {
    answer = { status: 500, body: '{"error":{"message":"internal error"}}' }
  }
  if (cause instanceof AppError && cause.reason === 'overloaded') metrics.countShed()
  metrics.countCall('refused', answer.status, performance.now() - exchange.startedAt)
  send(options, exchange, answer.status, answer.body)
}
