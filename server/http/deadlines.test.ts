import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { scopedDatabase } from '#server/db/database.ts'
import { DatabaseUnavailableError, StatementAbortedError } from '#server/db/errors.ts'
import { REQUEST_DEADLINE_MS, TimeBudget } from '#server/db/time-budget.ts'
import { openPools } from '#server/postgres/pools.ts'
import { sealExportToken } from '#server/rooms/account/export-token.ts'
import { createCaller } from '#server/rpc/caller.ts'
import { type RunningServer, startServer } from '#server/start.ts'
import {
  type Actor,
  createActor,
  type House,
  openHouse,
  PASSWORD,
  WORKER_KEY,
} from '#server/testing/actors.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { type Network, startNetwork } from '#server/testing/network.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { sign, WEBHOOK_ENVIRONMENT } from '#server/testing/webhooks.ts'

let house: House
let ada: Actor
let network: Network
let server: RunningServer

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

async function open() {
  const { urls, ownerUrl } = house.database
  network = await startNetwork(urls.api)
  const login = Object.fromEntries(
    Object.entries(loginEnvironment(urls)).map(([name, url]) => [name, network.through(url)]),
  )
  server = await startServer(
    loadConfig({
      NODE_ENV: 'test',
      PORT: '0',
      HOST: '127.0.0.1',
      DIRECT_URL: ownerUrl,
      ...login,
      ...WEBHOOK_ENVIRONMENT,
      WORKER_KEY,
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    }),
    createLogger({ level: 'silent' }),
  )
  return {
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]()
      await server.stop()
    },
  }
}

interface Timed {
  readonly status: number
  readonly retryAfter: string | null
  readonly ms: number
}

async function timed(path: string, init: RequestInit = {}): Promise<Timed> {
  const startedAt = performance.now()
  const response = await fetch(server.url + path, init)
  await response.text()
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    ms: performance.now() - startedAt,
  }
}

function json(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const type = { 'content-type': 'application/json' }
  return { method: 'POST', headers: { ...type, ...headers }, body: JSON.stringify(body) }
}

function requests(): Record<string, () => Promise<Timed>> {
  const { authorization } = ada
  const credential = scopeOf(ada).credential
  const exported = sealExportToken({ credential, expiresAt: Date.now() + 60_000 }, TEST_AUTH_SECRET)
  const { body, headers } = sign('github', '{}')
  const account = { email: ada.email, password: PASSWORD }
  const signedIn = { authorization }
  return {
    'sign-in': () => timed('/api/auth/sign-in/email', json(account)),
    'sign-up': () =>
      timed('/api/auth/sign-up/email', json({ ...account, email: 'new@example.com', name: 'New' })),
    'get-session': () => timed('/api/auth/get-session', { headers: signedIn }),
    'change-password': () =>
      timed(
        '/api/auth/change-password',
        json({ currentPassword: PASSWORD, newPassword: 'another password' }, signedIn),
      ),
    'reset-password': () =>
      timed('/api/auth/reset-password', json({ newPassword: 'another password', token: 'none' })),
    'organization list': () => timed('/api/auth/organization/list', { headers: signedIn }),
    'a query': () => timed('/trpc/tasks.list', { headers: signedIn }),
    'a query of what is published': () => timed('/trpc/content.published?input={"json":{}}'),
    'a mutation': () => timed('/trpc/tasks.create', json({ json: { prompt: 'x' } }, signedIn)),
    'a mutation of several statements': () =>
      timed('/trpc/account.remove', json({ json: { password: PASSWORD } }, signedIn)),
    'a claim of the operator’s': () =>
      timed('/trpc/tasks.claim', json({ json: { worker: 'w' } }, { authorization: `Bearer ${WORKER_KEY}` })),
    'a webhook': () =>
      timed('/webhooks/github', { method: 'POST', body: String(body), headers: headers as HeadersInit }),
    'an export': () => timed(`/media/exports/${exported}`),
  }
}

// A busy machine takes long to answer. A request that waited for two deadlines would still exceed it.
const SLACK_MS = 8_000

describe('a database that accepts and never answers', () => {
  it('costs every request one deadline, and readiness less', { timeout: 90_000 }, async () => {
    await using _ = await open()
    const all = requests()
    // Whatever is loaded with the first request, and warm connections.
    await timed('/api/auth/ok')
    await all['get-session']?.()
    await all['a query']?.()
    network.swallow()
    const answers = Object.entries({ ...all, readiness: () => timed('/readyz') }).map(
      async ([name, request]) => [name, await request()] as const,
    )
    for (const [name, { status, retryAfter, ms }] of await Promise.all(answers)) {
      expect([name, status]).toEqual([name, 503])
      if (name !== 'readiness') expect([name, Number(retryAfter) >= 1]).toEqual([name, true])
      const deadlineMs = name === 'readiness' ? 3_000 : REQUEST_DEADLINE_MS
      expect([name, Math.max(ms, deadlineMs + SLACK_MS)]).toEqual([name, deadlineMs + SLACK_MS])
    }
  })
})

describe('a database that answers slowly', () => {
  it('does not let a request of many statements wait longer than one of few', {
    timeout: 90_000,
  }, async () => {
    await using _ = await open()
    const all = requests()
    await timed('/api/auth/ok')
    network.delay(4_500)
    const answers = ['sign-in', 'sign-up', 'change-password', 'organization list'].map(
      async name => [name, await all[name]?.()] as const,
    )
    for (const [name, answer] of await Promise.all(answers)) {
      const limit = REQUEST_DEADLINE_MS + SLACK_MS
      expect([name, answer?.status]).toEqual([name, 503])
      expect([name, Math.max(answer?.ms ?? Infinity, limit)]).toEqual([name, limit])
    }
  })

  it('is waited for by a caller in this process no longer than by one over HTTP', {
    timeout: 60_000,
  }, async () => {
    await using slow = await startNetwork(house.database.urls.api)
    const { api, ...rest } = house.database.urls
    const pools = openPools({ ...rest, api: slow.through(api) })
    try {
      const caller = createCaller(
        { ...house.services, pools },
        { headers: { authorization: ada.authorization } },
      )
      const { id } = await caller.tasks.create({ prompt: 'x' })
      slow.swallow()
      const startedAt = performance.now()
      await expect(caller.tasks.get({ id })).rejects.toMatchObject({
        code: 'SERVICE_UNAVAILABLE',
        cause: { reason: 'database_unavailable', details: { retryAt: expect.any(Date) } },
      })
      expect(performance.now() - startedAt).toBeLessThan(REQUEST_DEADLINE_MS + SLACK_MS)
    } finally {
      await pools.close()
    }
  })
})

describe('the budget of a request', () => {
  const sleepFor = (seconds: number) => sql`select pg_sleep(${sql.lit(seconds)})`

  it('is shared by its statements: what one has used, the next ones lack', async () => {
    const budget = new TimeBudget(2_500)
    const db = scopedDatabase(house.services.pools.api, scopeOf(ada, { budget }))
    await sleepFor(0.3).execute(db)
    expect(budget.leftMs).toBeLessThan(2_250)
    // The server ends the statement two seconds before the budget does, so that its answer arrives.
    await expect(sleepFor(10).execute(db)).rejects.toMatchObject({ code: '57014' })
  })

  it('ends statements and the wait for a connection', async () => {
    const spent = new TimeBudget(0)
    const db = scopedDatabase(house.services.pools.api, scopeOf(ada, { budget: spent }))
    await expect(sleepFor(0).execute(db)).rejects.toThrow(DatabaseUnavailableError)
  })

  it('counts statements that run at the same time once', async () => {
    const budget = new TimeBudget(60_000)
    const db = scopedDatabase(house.services.pools.api, scopeOf(ada, { budget }))
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: 4 }, () => sleepFor(0.5).execute(db)))
    expect(60_000 - budget.leftMs).toBeLessThanOrEqual(performance.now() - startedAt + 1)
  })
})

describe('a caller who has left', () => {
  let pools: ReturnType<typeof openPools>
  beforeEach(() => {
    pools = openPools({ ...house.database.urls, listen: 'a pool of its own' }, { maxConnections: 1 })
    return () => pools.close()
  })

  it('stops waiting for a connection, which the next one gets', async () => {
    const held = await pools.api.checkOut()
    const left = new AbortController()
    const waiting = sql`select 1`.execute(scopedDatabase(pools.api, scopeOf(ada, { signal: left.signal })))
    const refused = expect(waiting).rejects.toThrow(StatementAbortedError)
    const next = sql`select 1 as one`.execute(scopedDatabase(pools.api, scopeOf(ada)))
    left.abort()
    await refused
    expect(pools.api.usage.total).toBe(1)
    held.release()
    expect((await next).rows).toEqual([{ one: 1 }])
    expect(pools.api.usage).toEqual({ total: 1, idle: 1, waiting: 0 })
  })
})
