import type { AnyTRPCRouter, TRPCError } from '@trpc/server'
import { getHTTPStatusCode } from '@trpc/server/http'
import { getErrorShape } from '@trpc/server/unstable-core-do-not-import'
import type { Logger } from '#server/app/logger.ts'
import { AppError } from '#server/rpc/errors.ts'
import { RETRY_AFTER_SECONDS } from '../load.ts'
import type { Exchange, JsonAnswer } from './exchange.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

export interface CallError {
  error: TRPCError
  path: string | undefined
  type: 'query' | 'mutation' | 'subscription' | 'unknown'
  ctx: unknown
}

/** Logs an error that is the whole request's answer, and describes it. Throws what the error formatter throws. */
export function reportError(
  exchange: Exchange,
  failure: CallError,
  { router, log }: TrpcHandlerOptions,
): JsonAnswer {
  noteError(exchange, failure, log)
  return describeError(router, failure)
}

/** Notes and logs a call's error: a fault of ours whole, an expected failure at debug. */
export function noteError(
  exchange: Exchange,
  { error, path }: Pick<CallError, 'error'> & { path?: string | undefined },
  log: Logger,
): void {
  const cause = error.cause
  const retryAt = cause instanceof AppError ? cause.details.retryAt : undefined
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

/** An error's status and JSON body in the router's own shape. */
export function describeError(router: AnyTRPCRouter, failure: CallError): JsonAnswer {
  const config = router._def._config
  const response = { error: getErrorShape({ ...failure, config, input: undefined }) }
  return {
    status: getHTTPStatusCode(response),
    body: JSON.stringify({ error: config.transformer.output.serialize(response.error) }),
  }
}
