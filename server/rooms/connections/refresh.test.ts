import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openPools } from '#server/postgres/pools.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createCaller } from '#server/rpc/caller.ts'
import { type Actor, testServices } from '#server/testing/actors.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'
import { type ConnectedHouse, createAda, openConnectedHouse } from './fixture.ts'
import type { Connection } from './schema.ts'

let connected: ConnectedHouse
let ada: Actor
let servers: ServerProcess[]
let connection: Connection
let superuser: pg.Client

const TOKEN = 'POST /oauth/token'

beforeAll(async () => {
  connected = await openConnectedHouse()
  const { urls, ownerUrl, superuserUrl } = connected.house.database
  superuser = new pg.Client(toPgConfig(superuserUrl))
  await superuser.connect()
  const { linear } = connected.fakes
  const environment = {
    LINEAR_CLIENT_ID: linear.clientId,
    LINEAR_CLIENT_SECRET: linear.clientSecret,
    LINEAR_API_URL: linear.url,
  }
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess({ urls, directUrl: ownerUrl, environment })),
  )
}, 60_000)

beforeEach(async () => {
  ada = await createAda(connected)
  connection = await connected.connect(ada, 'linear')
  await expire()
  connected.fakes.linear.forgetCalls()
})

afterEach(() => connected.fakes.linear.comeBack())

afterAll(async () => {
  await Promise.all([superuser.end(), ...servers.map(server => server.stop())])
  await connected.close()
})

/** Simulates a day: the token expires here and at the provider. */
async function expire(): Promise<void> {
  connected.fakes.linear.tokens.expireAll()
  await connected.house.owner.query(
    `update app.connections set expires_at = now() - interval '1 second' where id = $1`,
    [connection.id],
  )
}

/** Lists the teams through one of the two servers: even indexes use the first, odd ones the second. */
async function ask(
  index: number,
): Promise<{ status: number; reason?: string; retryAt?: string; teams: number }> {
  const input = encodeURIComponent(JSON.stringify({ json: { connectionId: connection.id } }))
  const port = servers[index % servers.length]?.port
  const response = await fetch(`http://127.0.0.1:${port}/trpc/connections.linear.teams?input=${input}`, {
    headers: { authorization: ada.authorization },
  })
  const body = await response.json()
  const { reason, retryAt } = body.error?.json.data ?? {}
  return { status: response.status, reason, retryAt, teams: body.result?.data.json.length ?? 0 }
}

function askTimes(count: number) {
  return Promise.all(Array.from({ length: count }, (_, index) => ask(index)))
}

/** Calls from this many more services; resolves once each has found that another caller holds the claim. */
async function askWhileClaimed(
  count: number,
): Promise<{ refusals: Promise<unknown[]>; close(): Promise<void> }> {
  const { database } = connected.house
  const readers = Array.from({ length: count }, (_, index) => {
    const reader = { reads: 0 }
    const onStatement = (sql: string) => {
      if (/then 'held'/.test(sql)) reader.reads += 1
    }
    // A process can open only one set of pools for the same URLs.
    const pools = openPools({ ...database.urls, listen: `asker ${index}` }, { onStatement })
    const services = testServices(database, { providers: connected.providers, pools })
    return { reader, services }
  })
  const refusals = Promise.all(
    readers.map(({ services }) =>
      createCaller(services, { headers: { authorization: ada.authorization } })
        .connections.linear.teams({ connectionId: connection.id })
        .then(
          () => 'answered',
          error => error.cause.reason,
        ),
    ),
  )
  // The first read finds the connection; the second one follows the caller's own attempt to claim.
  await expect.poll(() => readers.every(({ reader }) => reader.reads > 1), { timeout: 10_000 }).toBe(true)
  return {
    refusals,
    async close() {
      await Promise.all(readers.map(({ services }) => services.live.close()))
      await Promise.all(readers.map(({ services }) => services.pools.close()))
    },
  }
}

async function countActivity(condition: string): Promise<number> {
  const { rows } = await superuser.query(
    `select count(*)::int as n from pg_stat_activity where datname = current_database() and ${condition}`,
  )
  return rows[0].n
}

async function row(): Promise<Record<string, unknown>> {
  const { rows } = await connected.house.owner.query('select * from app.connections where id = $1', [
    connection.id,
  ])
  return rows[0]
}

test('50 concurrent calls in two processes request one new token, and all succeed', async () => {
  const answers = await askTimes(50)
  expect(answers.map(({ status, teams }) => ({ status, teams }))).toEqual(
    answers.map(() => ({ status: 200, teams: 2 })),
  )
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
  expect(await row()).toMatchObject({ token_version: 1, refresh_claimed_until: null })
}, 30_000)

test('all callers wait for the one refresh, however long the provider takes', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const asking = askTimes(50)
  await held.waiting(1)
  // No transaction is open during the provider call, and the claim is visible to all.
  expect(await countActivity(`usename = 'rowhouse_api' and state like 'idle in transaction%'`)).toBe(0)
  expect((await row()).refresh_claimed_until).toBeInstanceOf(Date)
  held.release()
  expect((await asking).every(({ status }) => status === 200)).toBe(true)
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
}, 30_000)

test('a token that the provider rejects before it expires is also refreshed only once', async () => {
  await connected.house.owner.query(
    `update app.connections set expires_at = now() + interval '1 day' where id = $1`,
    [connection.id],
  )
  const answers = await askTimes(20)
  expect(answers.every(({ status }) => status === 200)).toBe(true)
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
}, 30_000)

test('a holder that dies blocks the others only until its claim lapses', async () => {
  await connected.house.owner.query(
    `update app.connections set refresh_claimed_until = now() + interval '1 second' where id = $1`,
    [connection.id],
  )
  const answers = await askTimes(10)
  expect(answers.every(({ status }) => status === 200)).toBe(true)
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
}, 30_000)

test('another server refreshes after one was killed during a refresh', async () => {
  const { urls, ownerUrl } = connected.house.database
  const { linear } = connected.fakes
  const doomed = await startServerProcess({
    urls,
    directUrl: ownerUrl,
    environment: {
      LINEAR_CLIENT_ID: linear.clientId,
      LINEAR_CLIENT_SECRET: linear.clientSecret,
      LINEAR_API_URL: linear.url,
    },
  })
  const held = linear.hold(TOKEN)
  const input = encodeURIComponent(JSON.stringify({ json: { connectionId: connection.id } }))
  const asking = fetch(`http://127.0.0.1:${doomed.port}/trpc/connections.linear.teams?input=${input}`, {
    headers: { authorization: ada.authorization },
  }).catch(() => null)
  await held.waiting(1)
  await doomed.stop('SIGKILL')
  expect(await asking).toBeNull()
  // The killed server's request fails at the provider, too.
  linear.answerNext(1, { status: 503 }, TOKEN)
  held.release()
  await expect.poll(() => linear.calls(TOKEN)).toBe(1)
  await connected.house.owner.query(
    `update app.connections set refresh_claimed_until = now() + interval '500 milliseconds' where id = $1`,
    [connection.id],
  )
  expect(await ask(0)).toMatchObject({ status: 200 })
  expect(linear.calls(TOKEN)).toBe(2)
}, 30_000)

test('a failed refresh fails all waiting callers without another attempt, and the next succeeds', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  connected.fakes.linear.garbleNext(1, 'broken', TOKEN)
  const first = ask(0)
  await held.waiting(1)
  const others = await askWhileClaimed(4)
  held.release()
  expect(await first).toMatchObject({ status: 502, reason: 'provider_unreachable' })
  expect(await others.refusals).toEqual(Array(4).fill('provider_unreachable'))
  await others.close()
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
  expect(await row()).toMatchObject({ status: 'active', token_version: 0, refresh_claimed_until: null })
  expect(await ask(1)).toMatchObject({ status: 200 })
}, 30_000)

test('a revoked grant is marked revoked once, for all waiting callers', async () => {
  connected.fakes.linear.tokens.revokeAll()
  const answers = await askTimes(20)
  expect(new Set(answers.map(({ reason }) => reason))).toEqual(new Set(['connection_revoked']))
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
  expect(await row()).toMatchObject({ status: 'revoked', refresh_token: null })
}, 30_000)

test('a rate limit returns its end, and waiting callers do not retry before it', async () => {
  connected.fakes.linear.answerNext(1, { status: 429, headers: { 'retry-after': '120' } }, TOKEN)
  const answer = await ask(0)
  expect(answer).toMatchObject({ status: 429, reason: 'rate_limited' })
  expect(new Date(answer.retryAt ?? 0).getTime() - Date.now()).toBeGreaterThan(110_000)
})

test('late tokens do not replace the tokens of a connection that was connected again', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const asking = ask(0)
  await held.waiting(1)
  // The user connects again while the old grant is being refreshed.
  const consented = await connected.consent(ada, 'linear')
  const reconnecting = connected.open(consented, ada)
  await held.waiting(2)
  held.release()
  const [{ status }] = await Promise.all([asking, reconnecting])
  expect(status).toBe(200)
  expect((await row()).status).toBe('active')
  expect(await ask(1)).toMatchObject({ status: 200, teams: 2 })
}, 30_000)

test('tokens are stored even if their caller has left', async () => {
  const held = connected.fakes.linear.hold(TOKEN)
  const input = encodeURIComponent(JSON.stringify({ json: { connectionId: connection.id } }))
  const leaving = new AbortController()
  const asking = fetch(`http://127.0.0.1:${servers[0]?.port}/trpc/connections.linear.teams?input=${input}`, {
    headers: { authorization: ada.authorization },
    signal: leaving.signal,
  }).catch(() => null)
  await held.waiting(1)
  leaving.abort()
  await asking
  held.release()
  await expect.poll(async () => (await row()).token_version).toBe(1)
  expect(await ask(1)).toMatchObject({ status: 200 })
  expect(connected.fakes.linear.calls(TOKEN)).toBe(1)
}, 30_000)
