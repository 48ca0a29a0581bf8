// A real database, a mail server and Better Auth, for the tests of this folder.

import pg from 'pg'
import pino from 'pino'
import { createMailer } from '#server/app/mail.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createTestDatabase, openOwnerPool } from '#server/testing/database.ts'
import { TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { type SmtpSink, startSmtpSink } from '#server/testing/smtp-sink.ts'
import { type Auth, type AuthOptions, createAuth } from './auth.ts'
import type { AuthConfig } from './auth-config.ts'

export const ORIGIN = 'http://localhost:3000'
export const SECRET = 'a secret of the test suite, long enough to be one: 8c1f0d'
export const KEYRING = parseKeyring(TEST_ENCRYPTION_KEYS)
export const PASSWORD = 'correct horse battery staple'

export interface AuthFixture {
  readonly auth: Auth
  /** The owner's connection, to read rows and to change them without the library. */
  readonly owner: pg.Pool
  /** Connections of the login that the library uses. */
  readonly authPool: pg.Pool
  readonly smtp: SmtpSink
  /** The logged JSON lines. */
  readonly logLines: string[]
  /** Statements that the auth login has sent. */
  readonly statements: { count: number }
  /** Creates another instance on the same database, as in a second process. */
  another(overrides?: Partial<Omit<AuthOptions, 'config'>> & { config?: Partial<AuthConfig> }): Auth
  call(method: 'GET' | 'POST', path: string, input?: CallInput): Promise<Answer>
  signUp(email: string): Promise<SignedUp>
  close(): Promise<void>
}

export interface CallInput {
  readonly body?: unknown
  readonly headers?: Record<string, string>
  /** A signed token, sent as a bearer token. */
  readonly token?: string
  readonly ipAddress?: string
  readonly auth?: Auth
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test reads answers of many shapes
  readonly body: any
}

export interface SignedUp {
  readonly userId: string
  readonly email: string
  /** The signed form, as in `set-auth-token`. */
  readonly token: string
  readonly rawToken: string
}

export async function createAuthFixture(options: Pick<AuthOptions, 'rateLimits'> = {}): Promise<AuthFixture> {
  const database = await createTestDatabase()
  const smtp = await startSmtpSink()
  const authPool = new pg.Pool({ ...toPgConfig(database.urls.auth), max: 8 })
  const systemPool = new pg.Pool({ ...toPgConfig(database.urls.system), max: 4 })
  const owner = openOwnerPool(database)
  // A pool does not wait for its sockets to close, so dropping the database ends them with an error.
  for (const pool of [authPool, systemPool]) pool.on('error', () => {})
  const logLines: string[] = []
  const log = pino({ level: 'debug' }, { write: line => logLines.push(line) })
  const mailer = createMailer({ smtpUrl: smtp.url, from: 'rowhouse@example.com', environment: 'test', log })
  const statements = countStatements(authPool)

  const another: AuthFixture['another'] = overrides => {
    const { config, ...others } = overrides ?? {}
    return createAuth({
      pool: authPool,
      takeRateLimit: async (key, limit, windowSeconds) => {
        const { rows } = await systemPool.query('select * from app.take_rate_limit($1, $2, $3)', [
          key,
          limit,
          windowSeconds,
        ])
        return { isAllowed: rows[0].is_allowed, retryAfterSeconds: rows[0].retry_after_seconds }
      },
      takeTurn: async (key, firstSeconds, longestSeconds) => {
        const { rows } = await systemPool.query('select app.take_turn($1, $2, $3) as seconds', [
          key,
          firstSeconds,
          longestSeconds,
        ])
        return rows[0].seconds
      },
      keyring: KEYRING,
      mailer,
      log,
      ...options,
      ...others,
      config: {
        authSecret: SECRET,
        appUrl: ORIGIN,
        allowedOrigins: ['https://app.example.com'],
        environment: 'test',
        signUp: 'open',
        socialProviders: {},
        ...config,
      },
    })
  }
  const auth = another()

  const call: AuthFixture['call'] = async (method, path, input = {}) => {
    const headers = new Headers(input.headers)
    if (input.body !== undefined && !headers.has('content-type'))
      headers.set('content-type', 'application/json')
    if (input.token !== undefined) headers.set('authorization', `Bearer ${input.token}`)
    const body = input.body === undefined ? undefined : encodeBody(input.body)
    const request = new Request(`${ORIGIN}/api/auth${path}`, { method, headers, body: body ?? null })
    const response = await (input.auth ?? auth).handler(request, {
      ipAddress: input.ipAddress ?? '127.0.0.1',
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') ?? false
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    }
  }

  return {
    auth,
    authPool,
    owner,
    smtp,
    logLines,
    statements,
    another,
    call,
    async signUp(email) {
      const { status, headers, body, text } = await call('POST', '/sign-up/email', {
        body: { email, password: PASSWORD, name: 'Ada' },
      })
      const token = headers.get('set-auth-token')
      if (status !== 200 || token === null) throw new Error(`signing up failed with ${status}: ${text}`)
      return { userId: body.user.id, email, token, rawToken: token.slice(0, token.lastIndexOf('.')) }
    },
    async close() {
      await auth.close()
      await mailer.close()
      await smtp.close()
      await Promise.all([authPool.end(), systemPool.end(), owner.end()])
      await database.drop()
    },
  }
}

function encodeBody(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body)
}

function countStatements(pool: pg.Pool): { count: number } {
  const statements = { count: 0 }
  pool.on('connect', client => {
    const query = client.query
    client.query = ((...input: Parameters<typeof query>) => {
      statements.count += 1
      return query.apply(client, input)
    }) as typeof query
  })
  return statements
}
