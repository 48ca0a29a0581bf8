import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AnyTRPCRouter } from '@trpc/server'
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  fastify,
  LogController,
  type RawServerDefault,
} from 'fastify'
import { clientAddressReader, type TrustedProxies } from '#server/http/client-address.ts'
import { finishConnections, letConnectionsEnd, sleep } from '#server/http/drain.ts'
import { addGate } from '#server/http/gate.ts'
import { listen } from '#server/http/listen.ts'
import { DEFAULT_LOAD_LIMITS, type LoadLimits, watchLoad } from '#server/http/load.ts'
import { createOrigins } from '#server/http/origins.ts'
import { requestId } from '#server/http/request-id.ts'
import { type AuthHandler, addRoutes, type Readiness } from '#server/http/routes.ts'
import type { CreateHttpContext } from '#server/http/trpc/context-input.ts'
import { TRPC_PREFIX } from '#server/http/trpc/plain-request.ts'
import { createTrpcHandler } from '#server/http/trpc/trpc-handler.ts'
import { answerClientError, isUpload, noteUpload } from '#server/http/uploads.ts'
import type { ErasureCounts } from '#server/system/eraser.ts'
import type { Logger } from './logger.ts'
import { createMetrics, type Metrics, type PoolCounts } from './metrics.ts'

const MAX_HEADER_BYTES = 16 * 1024
const DEFAULT_TIMEOUTS: Timeouts = { headersMs: 10_000, requestMs: 60_000 }
// Longer than a balancer keeps its connections, so that it is not the server who closes one that is about to be used.
const KEEP_ALIVE_TIMEOUT_MS = 72_000
const TIMEOUT_CHECK_MS = 1_000

const DRAIN_DEADLINE_MS = 10_000
const DRAIN_CHECK_MS = 20

/** How long a caller may take to send its headers, and its whole request. */
export interface Timeouts {
  headersMs: number
  requestMs: number
}

export interface AppOptions {
  config: {
    readonly host: string
    readonly port: number
    readonly appUrl: string
    readonly allowedOrigins: readonly string[]
    /** Whose `x-forwarded-for` is believed; nobody's where it is left out. */
    readonly trustProxy?: TrustedProxies
    readonly environment: 'development' | 'production' | 'test'
  }
  log: Logger
  router: AnyTRPCRouter
  createContext: CreateHttpContext
  auth: AuthHandler
  readiness: () => Promise<Readiness>
  /** How far removals are, for the metrics. */
  erasures?: () => ErasureCounts
  services?: { readonly pools: { usage(): Record<string, PoolCounts> } }
  limits?: Partial<LoadLimits>
  timeouts?: Timeouts
  /** How long a stream's reader may leave its buffer full. */
  stallMs?: number
  /** How long readiness is denied before connections are. */
  announceMs?: number
}

export interface App {
  fastify: FastifyInstance
  metrics: Metrics
  /** Resolves with the server's URL. */
  listen(): Promise<string>
  /**
   * Denies readiness and keeps no connection, then accepts no more, lets calls in flight finish, ends subscriptions, and closes
   * what is left at the deadline. Safe to call twice.
   */
  drain(deadlineMs?: number): Promise<void>
}

function withoutSchemas(): never {
  throw new Error('routes check what they are given themselves, and have no schemas')
}

/** The HTTP surface. Connects to nothing and listens when told to. */
export function buildApp(options: AppOptions): App {
  const { config, log } = options
  const origins = createOrigins(config, log)
  const load = watchLoad({ ...DEFAULT_LOAD_LIMITS, ...options.limits })
  const streams = new Set<ServerResponse>()
  const metrics = createMetrics({
    inFlight: load.inFlight,
    streams: () => streams.size,
    pools: options.services && (() => options.services?.pools.usage() ?? {}),
    ...(options.erasures && { erasures: options.erasures }),
  })
  let draining: Promise<void> | undefined
  const isDraining = () => draining !== undefined
  const clientAddress = clientAddressReader(config.trustProxy, () => {
    if (config.environment !== 'production') return
    log.warn(
      'calls come with x-forwarded-for, which nobody is trusted to write: behind a proxy, set TRUST_PROXY',
    )
  })
  const shared = { origins, load, metrics, log, isDraining, clientAddress }

  const handleTrpc = createTrpcHandler({
    ...shared,
    streams,
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
    router: options.router,
    createContext: options.createContext,
  })
  const loggerInstance: FastifyBaseLogger = log
  const app = fastify<RawServerDefault>({
    serverFactory: handler => createHttpServer(handleTrpc, handler, options.timeouts ?? DEFAULT_TIMEOUTS),
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: req => requestId(req.headers['x-request-id']),
    requestIdHeader: false,
    // A request on a connection that was kept is answered like any other, and the connection ends with it.
    return503OnClosing: false,
    // No route has a schema: what compiles them takes memory.
    schemaController: {
      compilersFactory: { buildValidator: withoutSchemas, buildSerializer: withoutSchemas },
    },
    clientErrorHandler: answerClientError,
  })
  const gate = addGate(app, shared)
  addRoutes(app, {
    ...shared,
    ...gate,
    appUrl: config.appUrl,
    auth: options.auth,
    readiness: options.readiness,
  })

  async function drain(deadlineMs: number): Promise<void> {
    await letConnectionsEnd(app.server, {
      graceMs: options.announceMs ?? 0,
      endsWithLastConnection: config.environment !== 'production',
    })
    const closed = app.close()
    // Their readers resume from the last event's id, on another process.
    for (const res of streams) res.destroy()
    await finishConnections(app.server, closed, deadlineMs)
    const deadline = Date.now() + 1_000
    while (load.inFlight() > 0 && Date.now() < deadline) await sleep(DRAIN_CHECK_MS)
    load.stop()
    metrics.registry.clear()
  }

  return {
    fastify: app,
    metrics,
    listen: () => listen(app, config),
    drain: (deadlineMs = DRAIN_DEADLINE_MS) => {
      draining ??= drain(deadlineMs)
      return draining
    },
  }
}

/** tRPC's requests pass Fastify by: its routing and its request objects would cost them a tenth of their time. */
function createHttpServer(
  handleTrpc: RequestListener,
  handleOther: RequestListener,
  timeouts: Timeouts,
): Server {
  return createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    (req, res) => {
      if (req.url?.startsWith(TRPC_PREFIX)) return handleTrpc(req, res)
      if (isUpload(req)) noteUpload(req, res)
      handleOther(req, res)
    },
  )
}
