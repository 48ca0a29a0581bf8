import { QueryObserver } from '@tanstack/react-query'
import { createTRPCOptionsProxy } from '@trpc/tanstack-react-query'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { AppRouter } from '#server/rpc/router.ts'
import { browserFetch } from './browser-fetch.ts'
import { type ClientOptions, createClient, isRowhouseError, signIn, signOut, signUp } from './index.ts'
import { createQueryClient } from './react.tsx'
import { PASSWORD, type ServerFixture, startServer } from './server-fixture.ts'

// Tests calls from pages of allowed origins and of others.

const STRANGER = 'https://stranger.example.com'
const FRIEND = 'https://friend.example.com'

let server: ServerFixture
let token: string
let cookie: string

beforeAll(async () => {
  server = await startServer({ ALLOWED_ORIGINS: FRIEND })
  token = await server.newToken()
  cookie = `better-auth.session_token=${encodeURIComponent(token)}`
})
afterAll(() => server.close())
afterEach(() => vi.unstubAllGlobals())

/** A page of an origin: its location, and its browser's fetch. */
function pageAt(origin: string) {
  vi.stubGlobal('location', { origin })
  const urls: string[] = []
  const send = browserFetch({ origin, cookie })
  const fetchHere: ClientOptions['fetch'] = (url, init) => {
    urls.push(url)
    return send(url, init)
  }
  return { fetch: fetchHere, urls }
}

async function failureOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!isRowhouseError(error)) throw new Error('not a RowhouseError', { cause: error })
  return error
}

describe('a page of a foreign origin', () => {
  const REFUSED = { code: 'FORBIDDEN', reason: 'foreign_origin', httpStatus: 403 }

  test.each<[string, Partial<ClientOptions>]>([
    ['a cookie', { cookies: true }],
    ['a token', { token: 'a token' }],
    ['nothing', {}],
  ])('receives the refusal from every call with %s', async (_what, credential) => {
    const { fetch } = pageAt(STRANGER)
    const client = createClient({ url: server.url, fetch, ...credential })
    const failures = await Promise.all([
      failureOf(client.tasks.list.query()),
      failureOf(client.tasks.create.mutate({ prompt: 'Mend the roof' })),
      failureOf(client.content.published.query()),
    ])
    expect(failures).toEqual([
      expect.objectContaining({ ...REFUSED, path: 'tasks.list' }),
      expect.objectContaining({ ...REFUSED, path: 'tasks.create' }),
      expect.objectContaining({ ...REFUSED, path: 'content.published' }),
    ])
    for (const { message } of failures) expect(message).toContain('ALLOWED_ORIGINS')
    expect((await createClient({ url: server.url, token }).tasks.list.query()).items).toEqual([])
  })

  test('receives the refusal when it signs up, in or out', async () => {
    const { fetch } = pageAt(STRANGER)
    const account = { url: server.url, email: 'page@example.com', password: PASSWORD, fetch }
    for (const cookies of [true, false]) {
      for (const call of [
        () => signUp({ ...account, cookies, name: 'Page' }),
        () => signIn({ ...account, cookies }),
        () => signOut({ url: server.url, fetch, cookies }),
      ]) {
        expect(await failureOf(call())).toMatchObject(REFUSED)
      }
    }
    expect((await createClient({ url: server.url, token }).account.me.query()).user.name).toBe('Ada')
  })

  test.each<[string, Partial<ClientOptions>]>([
    ['a cookie', { cookies: true }],
    ['a token', { token: 'a token' }],
  ])('receives the refusal from a stream with %s, which is not retried', async (_what, credential) => {
    const { fetch } = pageAt(STRANGER)
    const client = createClient({ url: server.url, fetch, ...credential })
    const error = await new Promise((resolve, reject) => {
      client.approvals.stream.subscribe({}, { onData: reject, onError: resolve })
    })
    expect(error).toMatchObject({ ...REFUSED, path: 'approvals.stream' })
  })

  test('is not retried by TanStack Query', async () => {
    const { fetch, urls } = pageAt(STRANGER)
    const client = createClient({ url: server.url, fetch, cookies: true })
    const queryClient = createQueryClient()
    const rowhouse = createTRPCOptionsProxy<AppRouter>({ client, queryClient })
    const observer = new QueryObserver(queryClient, rowhouse.tasks.list.queryOptions())
    const { error } = await observer.refetch()
    expect(error).toMatchObject(REFUSED)
    // The call, and the request that asks why it failed.
    expect(urls).toHaveLength(2)
  })
})

describe('a page of an allowed origin', () => {
  test.each([
    ['an allowed origin', () => FRIEND],
    ["the app's", () => 'http://localhost:3000'],
    ["the server's own address", () => server.url],
    ["another name of the server's own address", () => server.url.replace('127.0.0.1', 'localhost')],
  ])('calls with its cookie: %s', async (_what, origin) => {
    const { fetch } = pageAt(origin())
    const client = createClient({ url: server.url, fetch, cookies: true })
    const task = await client.tasks.create.mutate({ prompt: 'Mend the roof' })
    await client.tasks.remove.mutate({ id: task.id })
    const account = { url: server.url, fetch, cookies: true, password: PASSWORD }
    const email = `page-${origin().replace(/\W+/g, '-')}@example.com`
    await signUp({ ...account, email, name: 'Page' })
    expect((await signIn({ ...account, email })).user.email).toBe(email)
  })

  test('receives unreachable if the server does not answer', async () => {
    const { fetch } = pageAt(FRIEND)
    const client = createClient({ url: 'http://127.0.0.1:1', fetch, cookies: true })
    expect((await failureOf(client.tasks.list.query())).reason).toBe('unreachable')
  })
})
