import { createHash, randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestSessionToken } from '../../auth/session-token.ts'
import { loadConfig } from '../../config.ts'
import { createLogger } from '../../logger.ts'
import { type RunningServer, startServer } from '../../start.ts'
import { createTestDatabase, type TestDatabase } from '../database.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '../environment.ts'
import { type SmtpSink, startSmtpSink } from '../smtp-sink.ts'
import { MUTATIONS, QUERIES } from './canary-calls.ts'
import { KEPT, keepSecrets, provokeWithSecrets } from './canary-secrets.ts'

// A whole server, over HTTP. What nobody may find again is planted in it: a password, tokens, what a user wrote. Then it is
// searched for in the log at its finest, in what a stranger is answered, and in a dump of the database.

const password = `hunter2-${randomUUID()}`
const canary = `canary-${randomUUID()}`

let database: TestDatabase
let server: RunningServer
let mails: SmtpSink
let owner: pg.Client
const log: string[] = []

let victim: {
  userId: string
  token: string
  apiToken: string
  taskId: string
  lease: string
  resetToken: string
}
/** Everything that a stranger was answered, headers included. */
const strangersAnswers: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  mails = await startSmtpSink()
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    HOST: '127.0.0.1',
    APP_URL: 'http://localhost:3000',
    DATABASE_URL: database.ownerUrl,
    API_DATABASE_URL: database.urls.api,
    PUBLIC_DATABASE_URL: database.urls.public,
    AUTH_DATABASE_URL: database.urls.auth,
    SYSTEM_DATABASE_URL: database.urls.system,
    MIGRATE_ON_START: 'false',
    SMTP_URL: mails.url,
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    LOG_LEVEL: 'trace',
  })
  const logger = createLogger({ level: 'trace', destination: { write: line => void log.push(line) } })
  server = await startServer(config, logger)
  owner = new pg.Client(database.ownerUrl)
  owner.on('error', () => {})
  await owner.connect()
  victim = await plant()
  await provoke()
}, 60_000)

afterAll(async () => {
  await owner.end()
  await server.stop()
  await mails.close()
  await database.drop()
})

interface Sent {
  status: number
  headers: Headers
  text: string
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Sent> {
  return send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

async function send(path: string, init: RequestInit): Promise<Sent> {
  const response = await fetch(server.url + path, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

async function signUp(
  name: string,
  secret: string,
): Promise<{ userId: string; token: string; email: string }> {
  const email = `${name}-${randomUUID()}@example.com`
  const { status, headers, text } = await post('/api/auth/sign-up/email', { email, password: secret, name })
  expect(status).toBe(200)
  return { userId: JSON.parse(text).user.id, token: headers.get('set-auth-token') ?? '', email }
}

async function mutate<T>(path: string, input: unknown, token: string): Promise<T> {
  const { status, text } = await post(`/trpc/${path}`, { json: input }, { authorization: `Bearer ${token}` })
  expect(status, text).toBe(200)
  return JSON.parse(text).result.data.json
}

async function plant(): Promise<typeof victim> {
  const { userId, token, email } = await signUp('victim', password)
  await post('/api/auth/sign-in/email', { email, password })
  await post('/api/auth/sign-in/email', { email, password: `${password}x` })
  const uses = await keepSecrets((path, input) => mutate(path, input, token), canary)
  const { id: taskId } = await mutate<{ id: string }>('tasks.create', { prompt: canary, ...uses }, token)
  await mutate('tasks.logs.append', { taskId, entries: [{ type: 'info', message: canary }] }, token)
  await mutate('tasks.messages.send', { taskId, content: canary }, token)
  const { token: apiToken } = await mutate<{ token: string }>(
    'apiTokens.create',
    { name: canary, scopes: ['tasks:write'] },
    token,
  )
  await mutate('tasks.update', { id: taskId, title: canary }, apiToken)
  await mutate('tools.enable', { slug: 'write_file', config: { protectedPaths: [canary] } }, token)
  const lease = await work(token)
  await post('/api/auth/request-password-reset', { email, redirectTo: '/reset' })
  // Signing up sends one as well.
  let resetToken: string | undefined
  while (resetToken === undefined) {
    const { source } = await mails.take(email)
    resetToken = /reset-password\/([\w-]+)/.exec(source)?.[1]
  }
  return { userId, token, apiToken, taskId, lease, resetToken }
}

/** Claims the task and says the canary wherever a worker says anything. */
async function work(token: string): Promise<string> {
  const claim = await mutate<{ lease: string; task: { id: string } }>(
    'tasks.claim',
    { worker: canary },
    token,
  )
  const { lease } = claim
  const taskId = claim.task.id
  await mutate('tasks.heartbeat', undefined, lease)
  await mutate('tasks.secrets', undefined, lease)
  await mutate('tasks.logs.append', { taskId, entries: [{ type: 'info', message: canary }] }, lease)
  const { id } = await mutate<{ id: string }>('tasks.messages.start', { taskId }, lease)
  await mutate('tasks.messages.append', { id, offset: 0, delta: canary }, lease)
  const { id: runId } = await mutate<{ id: string }>('runs.start', { agent: canary, input: canary }, lease)
  const call = { runId, callId: canary, tool: 'run_command', arguments: { command: [canary] } }
  await mutate('runs.toolCalls.start', call, lease)
  return lease
}

/** Everything that goes wrong, for a stranger with the victim's ids and for the victim. */
async function provoke(): Promise<void> {
  const stranger = await signUp('stranger', `another-${randomUUID()}`)
  const note = ({ text, headers }: Sent) => strangersAnswers.push(text, JSON.stringify([...headers]))
  const authorization = `Bearer ${stranger.token}`
  const inputs = [
    { id: victim.taskId },
    { taskId: victim.taskId },
    { taskId: victim.taskId, content: 'x' },
    { id: victim.userId },
    {},
    null,
  ]
  for (const path of MUTATIONS)
    for (const json of inputs) note(await post(`/trpc/${path}`, { json }, { authorization }))
  for (const path of QUERIES) {
    for (const json of inputs) {
      const query = `/trpc/${path}?input=${encodeURIComponent(JSON.stringify({ json }))}`
      note(await send(query, { headers: { authorization } }))
    }
  }
  note(await post('/trpc/tasks.create', '{"json":', { authorization }))
  note(await post('/trpc/tasks.create', { json: { prompt: 'x\0y' } }, { authorization }))
  note(await post('/api/auth/sign-up/email', { email: 'nobody', password: 'short', name: '' }))
  note(await post('/api/auth/reset-password', { token: 'garbage', newPassword: 'another-password' }))
  for (const path of ['/healthz', '/readyz', '/metrics', '/nowhere', '/api/auth/get-session']) {
    note(await send(path, { headers: { authorization } }))
  }

  // Secrets in odd places, and those that have ended.
  for (const secret of [victim.token, victim.apiToken, victim.lease]) {
    await send(`/trpc/tasks.list?token=${encodeURIComponent(secret)}`, {
      headers: { authorization: `Bearer ${secret}x` },
    })
    await send('/trpc/tasks.list', {
      headers: { cookie: `better-auth.session_token=${encodeURIComponent(secret)}` },
    })
    await post(
      '/trpc/account.remove',
      { json: { password: `${password}y` } },
      { authorization: `Bearer ${secret}` },
    )
    await post(
      '/trpc/tasks.create',
      { json: { prompt: canary, password, token: secret } },
      { authorization: `Bearer ${secret}` },
    )
  }

  const asVictim = { authorization: `Bearer ${victim.token}` }
  await provokeWithSecrets({ post: (path, json) => post(`/trpc/${path}`, { json }, asVictim), owner, note })

  // Faults that nobody expects are logged whole.
  await owner.query('alter table app.tasks add constraint tasks_broken_excl exclude (prompt with =)')
  const broken = await post(
    '/trpc/tasks.create',
    { json: { prompt: canary } },
    { authorization: `Bearer ${victim.token}` },
  )
  note(await post('/trpc/tasks.create', { json: { prompt: canary } }, { authorization }))
  await owner.query('alter table app.tasks drop constraint tasks_broken_excl')
  await owner.query('alter table app.tasks rename column prompt to prompts')
  const missing = await post(
    '/trpc/tasks.create',
    { json: { prompt: canary } },
    { authorization: `Bearer ${victim.token}` },
  )
  await owner.query('alter table app.tasks rename column prompts to prompt')
  expect([broken.status, missing.status]).toEqual([500, 500])
}

/** Each in the forms it might turn up in. */
function secrets(): Map<string, string> {
  const raw = victim.token.slice(0, victim.token.lastIndexOf('.'))
  const signature = victim.token.slice(victim.token.lastIndexOf('.') + 1)
  const digest = createHash('sha256').update(victim.apiToken).digest()
  const leaseDigest = createHash('sha256').update(victim.lease).digest()
  return new Map([
    ['the password', password],
    ['the raw session token', raw],
    ['the signature of the session token', signature],
    ['the signed session token in a cookie', encodeURIComponent(victim.token)],
    ['the digest of the session token', digestSessionToken(raw)],
    ['the API token', victim.apiToken],
    ['the digest of the API token', digest.toString('hex')],
    ['the digest of the API token in base64', digest.toString('base64')],
    ['the lease', victim.lease],
    ['the digest of the lease', leaseDigest.toString('hex')],
    ['the digest of the lease in base64', leaseDigest.toString('base64')],
    ['the reset token', victim.resetToken],
    ...Object.entries(KEPT),
    ['the secret that signs', TEST_AUTH_SECRET],
    ['the key that seals', TEST_ENCRYPTION_KEYS.slice(TEST_ENCRYPTION_KEYS.indexOf(':') + 1)],
    ...Object.entries(database.urls).map(([login, url]): [string, string] => [
      `the password of the ${login} login`,
      new URL(url).password,
    ]),
  ])
}

async function storedHashes(): Promise<string[]> {
  const { rows } = await owner.query<{ hash: string }>(
    `select token as hash from auth.sessions union all select encode(token_hash, 'hex') from app.api_tokens
     union all select encode(credential_hash, 'hex') from app.task_leases
     union all select password from auth.accounts where password is not null`,
  )
  return rows.map(({ hash }) => hash)
}

describe('no secret is found in', () => {
  test('the log at its finest level', async () => {
    const text = log.join('\n')
    // It is not quiet: statements, faults and refusals are in it.
    expect(text).toContain('select * from app.sign_in($1')
    expect(text).toContain('"level":"error"')
    for (const [name, secret] of secrets()) expect(text.includes(secret), name).toBe(false)
    for (const hash of await storedHashes()) expect(text).not.toContain(hash)
  })

  test('what a stranger is answered', async () => {
    const text = strangersAnswers.join('\n')
    for (const [name, secret] of secrets()) expect(text.includes(secret), name).toBe(false)
    for (const hash of await storedHashes()) expect(text).not.toContain(hash)
  })

  test('a dump of the database', async () => {
    const { rows: tables } = await owner.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    )
    const dump: string[] = []
    for (const { name } of tables) {
      const { rows } = await owner.query<{ row: string }>(`select t::text as row from ${name} t`)
      dump.push(...rows.map(({ row }) => row))
    }
    const text = dump.join('\n')
    expect(text).toContain(canary)
    for (const [name, secret] of secrets()) expect(text.includes(secret), name).toBe(false)
  })
})

describe('what a user wrote is found in', () => {
  test('no answer to a stranger', () => {
    for (const answer of strangersAnswers) expect(answer).not.toContain(canary)
  })

  test('no answer to a stranger as a statement, a place in the code or a constraint’s detail', () => {
    // The catalogue's texts speak of files and of selecting.
    for (const answer of strangersAnswers.filter(text => !text.includes('"inputSchema"'))) {
      expect(answer).not.toMatch(/select |insert into|app\.tasks|node_modules|\.ts:\d|Key \(|Failing row/)
    }
  })

  test('no line of the log', () => {
    for (const line of log) expect(line).not.toContain(canary)
  })
})
