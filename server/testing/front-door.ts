// A whole server with mail, for tests that sign up, follow a link and call over HTTP.

import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { startServer } from '#server/start.ts'
import { createTestDatabase, openOwnerPool } from './database.ts'
import { loginEnvironment, TEST_AUTH_SECRET } from './environment.ts'
import { type SmtpSink, startSmtpSink } from './smtp-sink.ts'

export const ORIGIN = 'http://localhost:3000'

export interface FrontDoor {
  /** The server's URL. */
  readonly url: string
  readonly mails: SmtpSink
  /** The owner's connections, to read rows and to change them without the server. */
  readonly owner: pg.Pool
  signUp(name: string): Promise<Person>
  /** Signs up and follows the link in the mail. */
  signUpVerified(name: string): Promise<Person>
  close(): Promise<void>
}

export interface Person {
  readonly userId: string
  readonly email: string
  readonly token: string
  /** Follows the link in the sign-up's mail. */
  verify(): Promise<void>
  query(path: string, input?: unknown): Promise<Answer>
  mutate(path: string, input?: unknown): Promise<Answer>
}

interface Answer {
  readonly status: number
  /** What was answered, or undefined for a refusal. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads answers of many shapes
  readonly json: any
  readonly reason: string | undefined
  readonly message: string | undefined
  readonly retryAt: string | undefined
}

export async function openFrontDoor(): Promise<FrontDoor> {
  const database = await createTestDatabase()
  const mails = await startSmtpSink()
  const { ownerUrl, urls } = database
  const server = await startServer(
    loadConfig({
      NODE_ENV: 'test',
      PORT: '0',
      HOST: '127.0.0.1',
      APP_URL: ORIGIN,
      DATABASE_URL: ownerUrl,
      ...loginEnvironment(urls),
      MIGRATE_ON_START: 'false',
      SMTP_URL: mails.url,
      AUTH_SECRET: TEST_AUTH_SECRET,
    }),
    createLogger({ level: 'silent' }),
  )
  const owner = openOwnerPool(database)

  async function signUp(name: string): Promise<Person> {
    const email = `${name.toLowerCase()}-${randomUUID()}@example.com`
    const response = await fetch(`${server.url}/api/auth/sign-up/email`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password: 'correct horse battery staple', name }),
    })
    const token = response.headers.get('set-auth-token')
    const body = await response.text()
    if (!response.ok || token === null) throw new Error(`signing up failed: ${body}`)
    const headers = { authorization: `Bearer ${token}` }
    return {
      userId: JSON.parse(body).user.id,
      email,
      token,
      async verify() {
        const { link } = await mails.take(email)
        if (!link?.startsWith(`${ORIGIN}/api/auth/verify-email`))
          throw new Error(`no link to verify: ${link}`)
        await fetch(server.url + link.slice(ORIGIN.length), { redirect: 'manual' })
      },
      async query(path, input) {
        const search =
          input === undefined ? '' : `?input=${encodeURIComponent(JSON.stringify({ json: input }))}`
        return answerOf(await fetch(`${server.url}/trpc/${path}${search}`, { headers }))
      },
      async mutate(path, input) {
        return answerOf(
          await fetch(`${server.url}/trpc/${path}`, {
            method: 'POST',
            headers: { ...headers, 'content-type': 'application/json' },
            body: JSON.stringify({ json: input }),
          }),
        )
      },
    }
  }

  return {
    url: server.url,
    mails,
    owner,
    signUp,
    async signUpVerified(name) {
      const person = await signUp(name)
      await person.verify()
      return person
    },
    async close() {
      await owner.end()
      await server.stop()
      await mails.close()
      await database.drop()
    },
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const body = JSON.parse(await response.text())
  const error = body.error?.json
  return {
    status: response.status,
    json: body.result?.data.json,
    reason: error?.data.reason,
    message: error?.message,
    retryAt: error?.data.retryAt,
  }
}
