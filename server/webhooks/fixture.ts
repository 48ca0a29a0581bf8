import { request } from 'node:http'
import { loadConfig } from '#server/app/config.ts'
import { createLogger, type Logger } from '#server/app/logger.ts'
import { type RunningServer, startServer } from '#server/start.ts'
import type { House } from '#server/testing/actors.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import type { Sent } from '#server/testing/webhooks.ts'

/** Starts a whole server on the house's database, in this process. */
export function startWebhookServer(
  { database: { urls, ownerUrl } }: House,
  environment: Readonly<Record<string, string>>,
  log: Logger = createLogger({ level: 'silent' }),
): Promise<RunningServer> {
  const config = loadConfig({
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    APP_URL: 'http://localhost:3000',
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    DATABASE_URL: ownerUrl,
    API_DATABASE_URL: urls.api,
    PUBLIC_DATABASE_URL: urls.public,
    AUTH_DATABASE_URL: urls.auth,
    SYSTEM_DATABASE_URL: urls.system,
    MIGRATE_ON_START: 'false',
    ...environment,
  })
  return startServer(config, log)
}

export interface Answer {
  readonly status: number
  readonly text: string
  readonly retryAfter: string | undefined
}

/** Sends headers unchanged: fetch would merge repeated ones. */
export function post({ url }: RunningServer, provider: string, { body, headers }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/webhooks/${provider}`, { method: 'POST', headers }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, retryAfter: response.headers['retry-after'] }),
      )
    })
    sent.on('error', reject).end(body)
  })
}

export function without({ body, headers }: Sent, name: string): Sent {
  return { body, headers: Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)) }
}
