import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { startServer } from '#server/start.ts'
import { createTestDatabase } from '../database.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '../environment.ts'
import { startSmtpSink } from '../smtp-sink.ts'
import type { Sent as SentWebhook } from '../webhooks.ts'

const APP_URL = 'http://localhost:3000'

export interface Sent {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export type CanaryHouse = Awaited<ReturnType<typeof openCanaryHouse>>

/** A whole server, over HTTP, with its log at the finest level. */
export async function openCanaryHouse(environment: Readonly<Record<string, string | undefined>>) {
  const database = await createTestDatabase()
  const mails = await startSmtpSink()
  const log: string[] = []
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    HOST: '127.0.0.1',
    APP_URL,
    DATABASE_URL: database.ownerUrl,
    ...loginEnvironment(database.urls),
    MIGRATE_ON_START: 'false',
    SMTP_URL: mails.url,
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    LOG_LEVEL: 'trace',
    ...environment,
  })
  const logger = createLogger({ level: 'trace', destination: { write: line => void log.push(line) } })
  const server = await startServer(config, logger)
  const owner = new pg.Client(database.ownerUrl)
  owner.on('error', () => {})
  await owner.connect()

  async function send(path: string, init: RequestInit): Promise<Sent> {
    const response = await fetch(server.url + path, { redirect: 'manual', ...init })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Sent> {
    return send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  }
  const cookieOf = (token: string) => `better-auth.session_token=${encodeURIComponent(token)}`

  return {
    database,
    mails,
    log,
    owner,
    send,
    post,
    query(path: string, json: unknown, token: string): Promise<Sent> {
      const input = encodeURIComponent(JSON.stringify({ json }))
      return send(`/trpc/${path}?input=${input}`, { headers: { authorization: `Bearer ${token}` } })
    },
    async mutate<T>(path: string, input: unknown, token: string): Promise<T> {
      const { status, text } = await post(
        `/trpc/${path}`,
        { json: input },
        { authorization: `Bearer ${token}` },
      )
      expect(status, text).toBe(200)
      return JSON.parse(text).result.data.json
    },
    /** Calls as a page of the application's in the session's browser. */
    browse: (path: string, json: unknown, token: string) =>
      post(`/trpc/${path}`, { json }, { cookie: cookieOf(token), origin: APP_URL }),
    /** Opens an address of the application's in the session's browser. */
    open: ({ pathname, search }: URL, token: string) =>
      send(pathname + search, { headers: { cookie: cookieOf(token) } }),
    webhook: (provider: string, { body, headers }: SentWebhook) =>
      post(`/webhooks/${provider}`, String(body), headers as Record<string, string>),
    async signUp(name: string, password: string): Promise<{ userId: string; token: string; email: string }> {
      const email = `${name}-${randomUUID()}@example.com`
      const { status, headers, text } = await post('/api/auth/sign-up/email', { email, password, name })
      expect(status).toBe(200)
      return { userId: JSON.parse(text).user.id, token: headers.get('set-auth-token') ?? '', email }
    },
    async close(): Promise<void> {
      await owner.end()
      await server.stop()
      await mails.close()
      await database.drop()
    },
  }
}
