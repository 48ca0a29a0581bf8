// Signing in through a server that stands behind a proxy, and through one that does not.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger } from '#server/app/logger.ts'
import { type AuthFixture, createAuthFixture, PASSWORD } from '#server/auth/fixture.ts'
import type { TrustedProxies } from './client-address.ts'
import { post, startApp, type TestServer } from './testing-servers.ts'

const LIMIT = 3

let fixture: AuthFixture
const servers: TestServer[] = []

beforeAll(async () => {
  fixture = await createAuthFixture({
    rateLimits: {
      signIn: { limit: LIMIT, windowSeconds: 3_600 },
      accountSignIn: { limit: 1_000, windowSeconds: 60 },
    },
  })
})
afterAll(async () => {
  for (const server of servers) await server.close()
  await fixture.close()
})

async function serve(trustProxy: TrustedProxies): Promise<number> {
  const server = await startApp({ auth: fixture.auth, config: { trustProxy } })
  servers.push(server)
  return server.port
}

function signIn(port: number, email: string, forwardedFor: string, password = 'not the password') {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwardedFor }
  return post(port, '/api/auth/sign-in/email', JSON.stringify({ email, password }), headers)
}

async function sessionAddresses(email: string): Promise<string[]> {
  const { rows } = await fixture.owner.query<{ ip_address: string }>(
    `select s.ip_address from auth.sessions s join auth.users u on u.id = s.user_id
     where u.email = $1 order by s.created_at desc`,
    [email],
  )
  return rows.map(row => row.ip_address)
}

async function forgetCounters(): Promise<void> {
  await fixture.owner.query('delete from app.rate_limits')
}

test('without a trusted proxy a forged header neither gets past the limit nor into the session', async () => {
  await forgetCounters()
  const port = await serve(0)
  const { email } = await fixture.signUp('direct@example.com')
  const first = await signIn(port, email, '203.0.113.250', PASSWORD)
  expect(first.status).toBe(200)
  expect((await sessionAddresses(email))[0]).toBe('127.0.0.1')
  const statuses: number[] = []
  for (let index = 0; index < LIMIT; index++) {
    statuses.push((await signIn(port, email, `203.0.113.${index}`)).status)
  }
  expect(statuses).toEqual([...Array(LIMIT - 1).fill(401), 429])
})

test.each<[string, TrustedProxies]>([
  ['a number', 1],
  ['an address', ['127.0.0.1']],
  ['a network', ['127.0.0.0/8']],
])('behind a proxy that %s names, each client has a limit and an address of its own', async (_, trusted) => {
  await forgetCounters()
  const port = await serve(trusted)
  const { email } = await fixture.signUp(`behind-${Math.random().toString(36).slice(2)}@example.com`)
  for (let index = 0; index <= LIMIT; index++) {
    // What a client writes itself comes before what the proxy adds.
    const { status } = await signIn(port, email, `203.0.113.${index}, 198.51.100.7`)
    expect(status).toBe(index < LIMIT ? 401 : 429)
  }
  const other = await signIn(port, email, '198.51.100.7, 198.51.100.8', PASSWORD)
  expect(other.status).toBe(200)
  expect((await sessionAddresses(email))[0]).toBe('198.51.100.8')
})

test('past the proxies that are named, the header is not believed', async () => {
  await forgetCounters()
  const port = await serve(['10.0.0.0/8'])
  const { email } = await fixture.signUp('past@example.com')
  expect((await signIn(port, email, '198.51.100.7', PASSWORD)).status).toBe(200)
  expect((await sessionAddresses(email))[0]).toBe('127.0.0.1')
})

test('a procedure’s caller is who the proxy says', async () => {
  const seen: (string | undefined)[] = []
  const server = await startApp({
    config: { trustProxy: 1 },
    createContext: ({ ipAddress }) => {
      seen.push(ipAddress)
      return {}
    },
  })
  servers.push(server)
  const headers = { 'x-forwarded-for': '203.0.113.1, 198.51.100.7' }
  await post(server.port, '/trpc/null', '{}', headers)
  await post(server.port, '/trpc/null?connectionParams=null', '{}', headers)
  expect(seen).toEqual(['198.51.100.7', '198.51.100.7'])
})

test('production says once that a proxy is not trusted', async () => {
  const lines: string[] = []
  const log = createLogger({ level: 'warn', destination: { write: line => lines.push(line) } })
  const server = await startApp({ log, config: { environment: 'production' }, announceMs: 0 })
  servers.push(server)
  for (let index = 0; index < 3; index++) {
    await post(server.port, '/trpc/null', '{}', { 'x-forwarded-for': '198.51.100.7' })
  }
  expect(lines.filter(line => line.includes('TRUST_PROXY'))).toHaveLength(1)
})
