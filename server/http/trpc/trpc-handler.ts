// A request visits each file of this folder at most once, in this order:
//
//   trpc-handler   checks method, origin, text, depth and load; reads the body
//   plain-request  queries and mutations, alone or in a batch?
//   ├─ yes         plain-answer → context-input → procedure-chain → plain-inputs → exchange (head, body, log)
//   └─ live-request  one live subscription?
//      ├─ yes      live-answer → context-input → procedure-chain → exchange (head; log when it closes)
//      └─ no       trpc-adapter: tRPC's own adapter, whose hooks come back for context, errors and headers
//
// A failed call passes call-error before exchange. What the checks refuse goes there at once.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type AnyTRPCRouter, TRPCError } from '@trpc/server'
import type { Logger } from '#server/app/logger.ts'
import type { Metrics } from '#server/app/metrics.ts'
import { AppError } from '#server/rpc/errors.ts'
import { toTRPCError } from '#server/rpc/trpc-error.ts'
import { isJson, MAX_BODY_BYTES, RequestAbortedError, readBody, readBytes, tooLarge } from '../body.ts'
import type { ReadClientAddress } from '../client-address.ts'
import { MAX_JSON_DEPTH, nestsTooDeep } from '../json-depth.ts'
import { type Load, overloaded } from '../load.ts'
import { isPreflight, type Origins } from '../origins.ts'
import { requestId } from '../request-id.ts'
import { checkQuery } from '../utf8.ts'
import { reportError } from './call-error.ts'
import type { CreateHttpContext } from './context-input.ts'
import { type Exchange, type JsonAnswer, sendJson } from './exchange.ts'
import { createLiveAnswers } from './live-answer.ts'
import { readLiveRequest } from './live-request.ts'
import { answerPlain } from './plain-answer.ts'
import { readPlainRequest, TRPC_PREFIX } from './plain-request.ts'
import { createTrpcAdapter } from './trpc-adapter.ts'

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
  const adapter = createTrpcAdapter(options)
  const answerLive = createLiveAnswers(options)

  return function handleTrpc(req: IncomingMessage, res: ServerResponse): void {
    const exchange: Exchange = {
      req,
      res,
      requestId: requestId(req.headers['x-request-id']),
      startedAt: performance.now(),
      context: undefined,
      retryAt: undefined,
    }
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
    const request = readPlainRequest(options.router, req)
    if (addressNestsTooDeep(req.url ?? '')) throw tooDeep()
    const body = method === 'GET' || method === 'HEAD' ? undefined : await readWhole(req)
    if (options.load.isOverloaded()) {
      await options.load.refusalTurn()
      throw overloaded()
    }
    const live = request === null ? readLiveRequest(options.router, req) : null
    if (live) await answerLive(exchange, live)
    else if (request === null) adapter(exchange, body)
    else await answerPlain(exchange, { request, body: typeof body === 'string' ? body : '' }, options)
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

/** Answers what was refused before any procedure ran, in the router's error shape. */
function fail(options: TrpcHandlerOptions, exchange: Exchange, cause: unknown): void {
  if (cause instanceof RequestAbortedError) return
  const path = exchange.req.url?.slice(TRPC_PREFIX.length).split('?', 1)[0]
  const error = toTRPCError(cause)
  let answer: JsonAnswer
  try {
    answer = reportError(exchange, { error, path, type: 'unknown', ctx: undefined }, options)
  } catch {
    answer = { status: 500, body: '{"error":{"message":"internal error"}}' }
  }
  if (cause instanceof AppError && cause.reason === 'overloaded') options.metrics.countShed()
  options.metrics.countCall('refused', answer.status, performance.now() - exchange.startedAt)
  sendJson(exchange, answer, options)
}
