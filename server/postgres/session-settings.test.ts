import { rmSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { type RunningServer, startServer } from '#server/start.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { HOSTILE, IMPATIENT } from '#server/testing/hostile-settings.ts'
import { type SmtpSink, startSmtpSink } from '#server/testing/smtp-sink.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.ts'
import { LOGINS } from './login-names.ts'
import { checkLoginSettings } from './login-settings.ts'
import { loginUrls } from './logins.ts'
import { readCatalog } from './migrations/catalog.ts'
import { connectOwner } from './migrations/connect.ts'
import { toPgConfig } from './postgres-client.ts'
import { settingsOf, settleOwnerSession } from './session-settings.ts'

// Settings of a server, a database and a role belong to a whole cluster, so these tests have their own.

const WORKER_KEY = 'the-worker-key-of-this-file-alone-61b0'
const PASSWORD = 'correct horse battery staple'
const ORIGIN = 'http://localhost:3000'

const log = createLogger({ level: 'silent' })
let dataDir: string
let postgres: EmbeddedPostgres
let mails: SmtpSink

beforeAll(async () => {
  dataDir = throwawayDirectory('settings')
  postgres = await startEmbeddedPostgres({ dataDir, isDurable: false, settings: HOSTILE })
  mails = await startSmtpSink()
}, 60_000)

afterAll(async () => {
  await mails?.close()
  await postgres?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function connected<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(toPgConfig(url))
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function asSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T> {
  return connected(postgres.url, async client => {
    await settleOwnerSession(client)
    return work(client)
  })
}

async function setAll(target: string, settings: Readonly<Record<string, string>>): Promise<void> {
  await asSuperuser(async client => {
    for (const [name, value] of Object.entries(settings))
      await client.query(`alter ${target} set ${name} to '${value}'`)
  })
}

function configOf(overrides: Record<string, string>) {
  return loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    APP_URL: ORIGIN,
    SMTP_URL: mails.url,
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    WORKER_KEY,
    ...overrides,
  })
}

function urls() {
  return loginUrls({ baseUrl: postgres.url, authSecret: TEST_AUTH_SECRET })
}

async function effectiveSettings(url: string): Promise<Map<string, string>> {
  const { rows } = await connected(url, client =>
    client.query<{ name: string; value: string }>(
      `select name, current_setting(name) as value from pg_settings`,
    ),
  )
  return new Map(rows.map(({ name, value }) => [name, value]))
}

describe('if server, database and roles have other settings', () => {
  let server: RunningServer

  beforeAll(async () => {
    await setAll('database rowhouse', { ...HOSTILE, ...IMPATIENT })
    // The first start creates the roles; the second one finds the settings made in between.
    await (await startServer(configOf({ DATABASE_URL: postgres.url, MIGRATE_ON_START: 'true' }), log)).stop()
    for (const login of LOGINS) {
      await setAll(`role ${login}`, { ...HOSTILE, ...IMPATIENT })
      await setAll(`role ${login} in database rowhouse`, { DateStyle: 'German', TimeZone: 'Asia/Kathmandu' })
    }
    server = await startServer(configOf({ DATABASE_URL: postgres.url, MIGRATE_ON_START: 'true' }), log)
  }, 60_000)
  afterAll(() => server?.stop())

  async function call(path: string, options: { token?: string; body?: unknown } = {}): Promise<Response> {
    const { token, body } = options
    return fetch(server.url + path, {
      method: body === undefined ? 'GET' : 'POST',
      redirect: 'manual',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
  async function rpc(path: string, input: unknown, { token, isQuery }: any = {}): Promise<any> {
    const query = `?input=${encodeURIComponent(JSON.stringify({ json: input }))}`
    const answer = await call(
      `/trpc/${path}${isQuery ? query : ''}`,
      isQuery ? { token } : { token, body: { json: input } },
    )
    const body = JSON.parse(await answer.text())
    if (!answer.ok) throw new Error(JSON.stringify(body.error))
    return body.result.data.json
  }

  async function signUp(email: string): Promise<string> {
    const answer = await call('/api/auth/sign-up/email', { body: { email, password: PASSWORD, name: 'Ada' } })
    expect(answer.status).toBe(200)
    return answer.headers.get('set-auth-token') ?? ''
  }

  test('every login has exactly the required settings', async () => {
    const { listen: _, ...byLogin } = urls()
    for (const url of Object.values(byLogin)) {
      const login = LOGINS.find(name => url.includes(name)) ?? 'rowhouse_api'
      const effective = await effectiveSettings(url)
      const { required, anyone, superusers } = settingsOf(login)
      for (const [name, value] of Object.entries({ ...required, ...anyone, ...superusers })) {
        // A setting of a language that this session has not loaded.
        if (!name.includes('.')) expect([login, name, effective.get(name)]).toEqual([login, name, value])
      }
    }
  })

  test('a session is found, lasts, and expires in time', async () => {
    const token = await signUp('session@example.com')
    const session = await (await call('/api/auth/get-session', { token })).json()
    expect(Date.parse(session.session.expiresAt) - Date.now()).toBeGreaterThan(6 * 86_400_000)
    expect(Math.abs(Date.parse(session.user.createdAt) - Date.now())).toBeLessThan(300_000)
    const again = await call('/api/auth/sign-in/email', {
      body: { email: 'session@example.com', password: PASSWORD },
    })
    expect(again.status).toBe(200)
    const sessions = await rpc('account.sessions', undefined, { token, isQuery: true })
    for (const { createdAt } of sessions)
      expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(300_000)
    expect((await call('/api/auth/sign-out', { token, body: {} })).status).toBe(200)
    expect(await (await call('/api/auth/get-session', { token })).json()).toBeNull()
  })

  test('a link to reset a password works', async () => {
    const email = 'reset@example.com'
    await signUp(email)
    await mails.take(email)
    await call('/api/auth/request-password-reset', { body: { email, redirectTo: `${ORIGIN}/new` } })
    const link = (await mails.take(email)).link ?? ''
    const followed = await call(link.slice(ORIGIN.length))
    const reset = new URL(followed.headers.get('location') ?? '').searchParams.get('token')
    const body = { token: reset, newPassword: 'a brand new password' }
    expect((await call('/api/auth/reset-password', { body })).status).toBe(200)
    const signIn = { email, password: 'a brand new password' }
    expect((await call('/api/auth/sign-in/email', { body: signIn })).status).toBe(200)
  })

  test('the operator’s worker learns when its lease ends', async () => {
    const token = await signUp('worker@example.com')
    await rpc('tasks.create', { prompt: 'work' }, { token })
    const claimed = await rpc('tasks.claim', { worker: 'w', leaseSeconds: 60 }, { token: WORKER_KEY })
    const until = Date.parse(claimed.expiresAt) - Date.now()
    expect(until).toBeGreaterThan(30_000)
    expect(until).toBeLessThan(90_000)
  })

  test('a user reads and finds exactly their own rows', async () => {
    const [ada, bob] = [await signUp('ada@example.com'), await signUp('bob@example.com')]
    const prompt = `a \\ backslash, a 'quote', a "double one", null and a snow\u2603man`
    const task = await rpc('tasks.create', { prompt }, { token: ada })
    expect(Math.abs(Date.parse(task.createdAt) - Date.now())).toBeLessThan(300_000)
    const found = await rpc('tasks.list', { search: 'backslash' }, { token: ada, isQuery: true })
    expect(found.items).toMatchObject([{ id: task.id }])
    const list = await rpc('tasks.list', {}, { token: ada, isQuery: true })
    expect(list.items).toMatchObject([{ id: task.id, prompt }])
    expect((await rpc('tasks.list', {}, { token: bob, isQuery: true })).items).toEqual([])

    const content = await rpc(
      'content.create',
      {
        title: 'Das Haus am See',
        contentType: 'written',
        body: 'Die Häuser stehen dort',
        tags: ['a', 'NULL'],
      },
      { token: ada },
    )
    await rpc('content.publish', { id: content.id }, { token: ada })
    for (const search of ['haus', 'die', 'häuser']) {
      const hits = await rpc('content.list', { search }, { token: ada, isQuery: true })
      expect([search, hits.items.map(({ id }: { id: string }) => id)]).toEqual([search, [content.id]])
    }
    const published = await rpc('content.published', { search: 'haus' }, { isQuery: true })
    expect(published.items).toMatchObject([{ id: content.id, tags: ['a', 'NULL'] }])

    const made = await rpc('apiTokens.create', { name: 'n', scopes: ['tasks:read'] }, { token: ada })
    expect((await rpc('tasks.list', {}, { token: made.token, isQuery: true })).items).toHaveLength(1)

    const { url } = await rpc('account.export', {}, { token: ada })
    const rows = (await (await call(url.slice(ORIGIN.length))).text()).trim().split('\n')
    const exported = rows.map(row => JSON.parse(row)).find(({ table }) => table === 'tasks')
    expect(exported.row).toMatchObject({ id: task.id, prompt })
    expect(Math.abs(Date.parse(exported.row.created_at) - Date.now())).toBeLessThan(300_000)
  })

  test('triggers fire', async () => {
    const token = await signUp('owner@example.com')
    const task = await rpc('tasks.create', { prompt: 'one' }, { token })
    const changed = await rpc('tasks.update', { id: task.id, title: 'two' }, { token })
    expect(Date.parse(changed.updatedAt)).toBeGreaterThan(Date.parse(task.updatedAt))
  })

  test('the owner reads the catalog without unneeded quotes', async () => {
    const owner = await connectOwner(postgres.url)
    const catalog = await readCatalog(owner).finally(() => owner.end())
    expect(catalog.length).toBeGreaterThan(50)
    expect(catalog.filter(({ object }) => object.includes('"'))).toEqual([])
  })
})

describe('a process that may not repair the settings', () => {
  test.each([
    ['DateStyle', 'German', 'rowhouse_auth'],
    ['bytea_output', 'escape', 'rowhouse_api'],
    ['default_transaction_read_only', 'on', 'rowhouse_system'],
    ['row_security', 'off', 'rowhouse_public'],
    ['session_replication_role', 'replica', 'rowhouse_auth'],
    ['plpgsql.variable_conflict', 'use_column', 'rowhouse_system'],
  ] as const)(
    'refuses to start with another %s, and names the command to run',
    async (name, value, login) => {
      await setAll(`role ${login} in database rowhouse`, { [name]: value })
      const { listen: _, ...each } = urls()
      const environment = Object.fromEntries(
        Object.entries(each).map(([key, url]) => [`${key.toUpperCase()}_DATABASE_URL`, url]),
      )
      const starting = startServer(configOf(environment), log)
      await expect(starting).rejects.toThrow(
        new RegExp(
          `^${login} has ${name} = ${value}.*, but needs [^]*alter role ${login} in database "rowhouse" set ${name} to`,
        ),
      )
      await (
        await startServer(configOf({ DATABASE_URL: postgres.url, MIGRATE_ON_START: 'true' }), log)
      ).stop()
      await (await startServer(configOf(environment), log)).stop()
    },
  )

  test('names the URL if its options are the cause', async () => {
    const url = `${urls().api}?options=${encodeURIComponent('-c DateStyle=German')}`
    await expect(connected(url, client => checkLoginSettings(client, 'rowhouse_api'))).rejects.toThrow(
      /DateStyle = German, DMY.*: remove it from the options of the URL/,
    )
  })

  test('warns if a limit is missing', async () => {
    await setAll('role rowhouse_api in database rowhouse', { lock_timeout: '0' })
    const [warning, ...others] = await connected(urls().api, client =>
      checkLoginSettings(client, 'rowhouse_api'),
    )
    expect(others).toEqual([])
    expect(warning).toMatch(/^rowhouse_api has lock_timeout = 0, but needs 6s: run npx kysely-migrate up/)
  })
})
