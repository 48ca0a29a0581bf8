import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '#server/app/logger.ts'
import { AppError } from '#server/rpc/errors.ts'
import { RETRY_AFTER_SECONDS } from '../load.ts'
import type { Origins } from '../origins.ts'
import { requestId } from '../request-id.ts'
import type { HttpContext } from './context-input.ts'
import type { CallError } from './plain-calls.ts'

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

export function beginExchange(req: IncomingMessage, res: ServerResponse): Exchange {
  return {
    req,
    res,
    requestId: requestId(req.headers['x-request-id']),
    startedAt: performance.now(),
    context: undefined,
    retryAt: undefined,
  }
}

/** As tRPC's answers, which depend on these headers alone. */
export const VARY = 'trpc-accept, accept'

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

/** Notes and logs a call's error: a fault of ours whole, an expected failure at debug. */
export function noteError(exchange: Exchange, { error, path }: CallError, log: Logger): void {
  const cause = error.cause
  const retryAt = cause instanceof AppError ? cause.retryAt : undefined
  if (retryAt || error.code === 'SERVICE_UNAVAILABLE') {
    const when = retryAt ?? new Date(Date.now() + RETRY_AFTER_SECONDS * 1000)
    if (exchange.retryAt === undefined || when > exchange.retryAt) exchange.retryAt = when
  }
  const isFault = error.code === 'INTERNAL_SERVER_ERROR' || (cause instanceof AppError && cause.isFault)
  if (isFault) {
    log.error({ requestId: exchange.requestId, path, err: cause ?? error }, 'a call failed')
  } else if (log.isLevelEnabled('debug')) {
    // Without the message: a JSON parser's quotes the body.
    const reason = cause instanceof AppError ? cause.reason : undefined
    log.debug({ requestId: exchange.requestId, path, code: error.code, reason }, 'a call was refused')
  }
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
