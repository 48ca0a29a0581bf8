import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '#server/app/logger.ts'
import type { Origins } from '../origins.ts'
import type { HttpContext } from './context-input.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

/** One request and its answer. */
export interface Exchange {
  req: IncomingMessage
  res: ServerResponse
  requestId: string
  startedAt: number
  context: HttpContext | undefined
  /** When a refused caller may try again, as the latest of its errors says. */
  retryAt: Date | undefined
}

export interface JsonAnswer {
  status: number
  body: string
}

/** Sends the answer and ends the exchange, as 499 if the client is gone or was answered already. */
export function sendJson(
  exchange: Exchange,
  { status, body }: JsonAnswer,
  options: TrpcHandlerOptions,
): void {
  const { req, res } = exchange
  if (res.headersSent || res.destroyed) {
    endExchange(exchange, 499, options.log)
    return
  }
  const headers = commonHeaders(exchange, options.origins)
  headers.push('vary', varyOf(req), 'content-type', 'application/json')
  headers.push('content-length', String(Buffer.byteLength(body)))
  if (exchange.context?.takeResponseHeaders || exchange.retryAt) headers.push(...procedureHeaders(exchange))
  // A body that was not read to its end would be taken for the next request.
  if (options.isDraining() || !req.complete) headers.push('connection', 'close')
  res.writeHead(status, headers)
  res.end(body)
  endExchange(exchange, status, options.log)
}

/** Writes the head of an event stream. Calls `onClose`, and ends the exchange, when the connection closes. */
export function startStream(exchange: Exchange, options: TrpcHandlerOptions, onClose: () => void): void {
  const { req, res } = exchange
  const headers = commonHeaders(exchange, options.origins)
  headers[headers.indexOf('cache-control') + 1] = 'no-cache, no-transform'
  headers.push('vary', varyOf(req), 'content-type', 'text/event-stream', 'x-accel-buffering', 'no')
  headers.push('connection', options.isDraining() ? 'close' : 'keep-alive', ...procedureHeaders(exchange))
  res.writeHead(200, headers)
  res.on('close', () => {
    onClose()
    endExchange(exchange, res.statusCode, options.log)
  })
}

/** As tRPC's answers, which depend on these headers alone, and on the origin where a request names one. */
function varyOf({ headers }: IncomingMessage): string {
  return headers.origin === undefined ? 'trpc-accept, accept' : 'trpc-accept, accept, origin'
}

/** What every answer carries besides tRPC's own headers, as name after value. */
export function commonHeaders({ req, requestId }: Exchange, origins: Origins): string[] {
  const headers = [
    'x-request-id',
    requestId,
    'x-content-type-options',
    'nosniff',
    'cache-control',
    'no-store',
  ]
  if (req.headers.origin === undefined) return headers
  const cors = origins.headersFor(req)
  if (cors) for (const name in cors) headers.push(name, cors[name] ?? '')
  return headers
}

/** What the procedures add to the answer: their own headers and, after a refusal, when to come back. */
export function procedureHeaders(exchange: Exchange): string[] {
  const headers: string[] = []
  const taken = exchange.context?.takeResponseHeaders?.()
  for (const name in taken) {
    const value = taken[name]
    if (typeof value === 'string') headers.push(name, value)
    else if (value) for (const one of value) headers.push(name, one)
  }
  if (exchange.retryAt) headers.push('retry-after', secondsUntil(exchange.retryAt))
  return headers
}

function secondsUntil(time: Date): string {
  return String(Math.max(1, Math.ceil((time.getTime() - Date.now()) / 1000)))
}

/** Logs the answer, and lets the context do what nobody waits for. */
export function endExchange(exchange: Exchange, status: number, log: Logger): void {
  const { req, context } = exchange
  if (status === 500 || log.isLevelEnabled('debug')) {
    const durationMs = Math.round((performance.now() - exchange.startedAt) * 100) / 100
    const path = req.url?.split('?', 1)[0]
    const line = { requestId: exchange.requestId, method: req.method, path, status, durationMs }
    if (status === 500) log.error(line, 'request')
    else log.debug(line, 'request')
  }
  if (context?.afterAnswer) void runAfterAnswer(exchange, context.afterAnswer.bind(context), log)
}

async function runAfterAnswer(
  { requestId }: Exchange,
  afterAnswer: () => void | Promise<void>,
  log: Logger,
): Promise<void> {
  try {
    await afterAnswer()
  } catch (err) {
    log.warn({ requestId, err }, 'the work after an answer failed')
  }
}
