import { createHash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { digestSessionToken } from '#server/auth/session-token.ts'
import { PROVIDERS } from '#server/rooms/connections/schema.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '../environment.ts'
import { MUTATIONS, QUERIES } from './canary-calls.ts'
import {
  type CanaryProviders,
  connectAccounts,
  openCanaryProviders,
  provokeWithConnections,
} from './canary-connections.ts'
import { type CanaryHouse, openCanaryHouse, type Sent } from './canary-house.ts'
import { KEPT, keepSecrets, provokeWithSecrets } from './canary-secrets.ts'
import { planSocialSignIn, SOCIAL, signInSocially } from './canary-social.ts'

// A whole server, over HTTP. What nobody may find again is planted in it: a password, tokens, what a user
// wrote. Then it is searched for in the log at its finest, in what a stranger is answered, and in a dump of
// the database.

const password = `hunter2-${randomUUID()}`
const canary = `canary-${randomUUID()}`

let house: CanaryHouse
let providers: CanaryProviders

let victim: {
  userId: string
  token: string
  apiToken: string
  taskId: string
  connectionId: string
  lease: string
  resetToken: string
}
/** Everything that a stranger was answered, headers included. */
const strangersAnswers: string[] = []

beforeAll(async () => {
  providers = await openCanaryProviders()
  house = await openCanaryHouse({ ...providers.environment, ...SOCIAL.environment })
  planSocialSignIn()
  victim = await plant()
  await provoke()
}, 120_000)

afterAll(async () => {
  vi.unstubAllGlobals()
  await house.close()
  await providers.close()
})

async function plant(): Promise<typeof victim> {
  const { post, mutate, signUp, mails } = house
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
  const [connectionId = ''] = await connectAccounts({ house, providers, token })
  await signInSocially(house)
  return { userId, token, apiToken, taskId, connectionId, lease, resetToken }
}

/** Claims the task and says the canary wherever a worker says anything. */
async function work(token: string): Promise<string> {
  const { mutate } = house
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
  const { post, send, signUp, owner } = house
  const stranger = await signUp('stranger', `another-${randomUUID()}`)
  const note = ({ text, headers }: Sent) => strangersAnswers.push(text, JSON.stringify([...headers]))
  const authorization = `Bearer ${stranger.token}`
  const inputs = [
    { id: victim.taskId },
    { taskId: victim.taskId },
    { taskId: victim.taskId, content: 'x' },
    { id: victim.userId },
    { id: victim.connectionId },
    { connectionId: victim.connectionId },
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
  await provokeWithConnections({ house, providers, token: victim.token }, { owner, note })

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
    ...providers.secrets(),
    ...Object.entries(SOCIAL.secrets),
    ['the secret that signs', TEST_AUTH_SECRET],
    ['the key that seals', TEST_ENCRYPTION_KEYS.slice(TEST_ENCRYPTION_KEYS.indexOf(':') + 1)],
    ...Object.entries(house.database.urls).map(([login, url]): [string, string] => [
      `the password of the ${login} login`,
      new URL(url).password,
    ]),
  ])
}

async function storedHashes(): Promise<string[]> {
  const { rows } = await house.owner.query<{ hash: string }>(
    `select token as hash from auth.sessions union all select encode(token_hash, 'hex') from app.api_tokens
     union all select encode(credential_hash, 'hex') from app.task_leases
     union all select password from auth.accounts where password is not null`,
  )
  return rows.map(({ hash }) => hash)
}

test('every provider gave out tokens, and others for them', () => {
  for (const provider of PROVIDERS) {
    const found = [...secrets().keys()].filter(name => name.includes(`token of ${provider}: `))
    expect(found.length, provider).toBeGreaterThan(4)
  }
})

describe('no secret is found in', () => {
  test('the log at its finest level', async () => {
    const text = house.log.join('\n')
    // It is not quiet: statements, faults and refusals are in it.
    expect(text).toContain('select * from app.sign_in($1')
    expect(text).toContain('"level":"error"')
    expect(text).toContain('refreshing a token failed')
    expect(text).toContain('connecting an account failed')
    for (const [name, secret] of secrets()) expect(text.includes(secret), name).toBe(false)
    for (const hash of await storedHashes()) expect(text).not.toContain(hash)
  })

  test('what a stranger is answered', async () => {
    const text = strangersAnswers.join('\n')
    for (const [name, secret] of secrets()) expect(text.includes(secret), name).toBe(false)
    for (const hash of await storedHashes()) expect(text).not.toContain(hash)
  })

  test('a dump of the database', async () => {
    const { rows: tables } = await house.owner.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    )
    const dump: string[] = []
    for (const { name } of tables) {
      const { rows } = await house.owner.query<{ row: string }>(`select t::text as row from ${name} t`)
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
    for (const line of house.log) expect(line).not.toContain(canary)
  })
})
