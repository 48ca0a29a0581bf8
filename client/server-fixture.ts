// A complete, listening server with its own database, for the tests of this folder.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AppOptions, buildApp } from '#server/app/app.ts'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { createServices, type ServingServices } from '#server/app/services.ts'
import { contextFactory } from '#server/rpc/context.ts'
import { appRouter } from '#server/rpc/router.ts'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { signUp } from './index.ts'

export const PASSWORD = 'correct horse battery staple'

export interface ServerFixture {
  readonly url: string
  readonly services: ServingServices
  readonly database: TestDatabase
  /** Signs up a new user and returns their token. */
  newToken(): Promise<string>
  close(): Promise<void>
}

export async function startServer(environment: Record<string, string> = {}): Promise<ServerFixture> {
  const database = await createTestDatabase()
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    HOST: '127.0.0.1',
    APP_URL: 'http://localhost:3000',
    DATABASE_URL: database.ownerUrl,
    AUTH_SECRET: 'a secret of the test suite, long enough to be one: 2d41ab',
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    LOG_LEVEL: 'silent',
    ...environment,
  })
  const log = createLogger({ level: config.logLevel })
  const services = createServices(config, database.urls, log)
  const app = buildApp({
    config,
    log,
    router: appRouter,
    createContext: contextFactory(services),
    auth: services.auth,
    readiness: async () => ({ ok: true }),
  })
  const url = await app.listen()
  let users = 0
  return {
    url,
    services,
    database,
    newToken: async () => {
      const email = `user-${users++}@example.com`
      const { token } = await signUp({ url, email, password: PASSWORD, name: 'Ada' })
      return token
    },
    async close() {
      await app.drain()
      await services.close()
      await database.drop()
    },
  }
}

/** The HTTP surface with another router, without a database. */
export function buildAppAround(router: AppOptions['router'], createContext: AppOptions['createContext']) {
  return buildApp({
    config: {
      host: '127.0.0.1',
      port: 0,
      appUrl: 'http://localhost:3000',
      allowedOrigins: [],
      environment: 'test',
    },
    log: createLogger({ level: 'silent' }),
    router,
    createContext,
    auth: { handler: async () => new Response(null, { status: 404 }) },
    readiness: async () => ({ ok: true }),
  })
}

/** A proxy that gives every request the same answer. */
export async function startProxy(answer: (res: import('node:http').ServerResponse) => void) {
  const server = createServer((_req, res) => answer(res))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}
