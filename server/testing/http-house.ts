import type { FastifyInstance } from 'fastify'
import { type App, buildApp, type Timeouts } from '#server/app/app.ts'
import { createLogger } from '#server/app/logger.ts'
import type { Services } from '#server/app/services.ts'
import { registerCallbackRoute } from '#server/rooms/connections/callback-route.ts'
import { contextFactory } from '#server/rpc/context.ts'
import { appRouter } from '#server/rpc/router.ts'

interface HouseOptions {
  readonly stallMs?: number
  readonly timeouts?: Timeouts
  readonly announceMs?: number
  readonly environment?: 'production' | 'test'
  /** Registers routes besides tRPC. */
  readonly addRoutes?: (app: FastifyInstance) => void
}

/** Serves the HTTP surface with these services in this process, on a free port. */
export async function serveHouse(
  services: Services,
  { addRoutes, environment = 'test', ...options }: HouseOptions = {},
): Promise<{ app: App; port: number; close(): Promise<void> }> {
  const app = buildApp({
    config: {
      host: '127.0.0.1',
      port: 0,
      appUrl: services.appUrl,
      allowedOrigins: [],
      environment,
    },
    log: createLogger({ level: 'silent' }),
    router: appRouter,
    createContext: contextFactory(services),
    auth: { handler: async () => new Response(null, { status: 404 }) },
    readiness: async () => ({ ok: true }),
    ...options,
  })
  registerCallbackRoute(app.fastify, services)
  addRoutes?.(app.fastify)
  const { port } = new URL(await app.listen())
  return { app, port: Number(port), close: () => app.drain(1_000) }
}
