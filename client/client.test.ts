import { randomUUID } from 'node:crypto'
import { TRPCClientError } from '@trpc/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ConfirmationNeededError,
  createClient,
  isRowhouseError,
  RowhouseError,
  signIn,
  signOut,
  signUp,
} from './index.ts'
import { PASSWORD, type ServerFixture, startProxy, startServer } from './server-fixture.ts'

let server: ServerFixture
let token: string

beforeAll(async () => {
  server = await startServer({ MAX_TASKS_PER_DAY: '200', MAX_MESSAGES_PER_DAY: '1' })
  token = await server.newToken()
})
afterAll(() => server.close())

/** A client, and the requests that it sends. */
function watchedClient(options: Partial<Parameters<typeof createClient>[0]> = {}) {
  const requests: { url: string; init: RequestInit; headers: Headers }[] = []
  const client = createClient({
    url: server.url,
    token,
    ...options,
    fetch: (url, init) => {
      requests.push({ url, init, headers: new Headers(init.headers) })
      return fetch(url, init)
    },
  })
  return { client, requests }
}

async function failureOf(call: Promise<unknown>): Promise<RowhouseError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!isRowhouseError(error)) throw new Error('not a RowhouseError', { cause: error })
  return error
}

describe('calls', () => {
  test('a new user can create a task and list it', async () => {
    const { url } = server
    const account = await signUp({ url, email: 'ada@example.com', password: PASSWORD, name: 'Ada' })
    expect(account.user).toMatchObject({ name: 'Ada', email: 'ada@example.com' })
    const client = createClient({ url, token: account.token })
    const task = await client.tasks.create.mutate({ prompt: 'Mend the roof' })
    const { items, nextCursor } = await client.tasks.list.query()
    expect(items).toEqual([task])
    expect(nextCursor).toBeNull()
    expect(task.createdAt).toBeInstanceOf(Date)
  })

  test('the URL may end in a slash or in /trpc', async () => {
    for (const url of [`${server.url}/`, `${server.url}/trpc`, new URL(server.url)]) {
      const client = createClient({ url, token })
      expect((await client.usage.today.query()).messages.limit).toBe(1)
    }
  })

  test('an input may contain one object twice, and undefined members', async () => {
    const { client } = watchedClient({ token: await server.newToken() })
    const task = await client.tasks.create.mutate({ prompt: 'x', title: undefined })
    const entry = { type: 'info', message: 'again' } as const
    await client.tasks.logs.append.mutate({ taskId: task.id, entries: [entry, entry] })
    const { items } = await client.tasks.logs.list.query({ taskId: task.id, after: undefined })
    expect(items.map(({ message }) => message)).toEqual(['again', 'again'])
  })

  test('at most twenty calls of one tick share a request', async () => {
    const { client, requests } = watchedClient()
    await Promise.all(Array.from({ length: 25 }, () => client.usage.today.query()))
    const batches = requests.map(({ url }) => new URL(url).pathname.split(',').length)
    expect(batches).toEqual([20, 5])
  })

  test('calls that would make a URL too long are split over several requests', async () => {
    const { client, requests } = watchedClient()
    const search = 'ü'.repeat(200)
    await Promise.all(Array.from({ length: 12 }, () => client.tasks.list.query({ search })))
    expect(requests.length).toBeGreaterThan(1)
    for (const { url } of requests) expect(url.length).toBeLessThanOrEqual(7_500)
  })

  test('a failed call does not affect the others of its batch', async () => {
    const { client, requests } = watchedClient()
    const [failure, usage] = await Promise.all([
      failureOf(client.tasks.get.query({ id: randomUUID() })),
      client.usage.today.query(),
    ])
    expect(requests).toHaveLength(1)
    expect(failure).toMatchObject({ reason: 'not_found', path: 'tasks.get' })
    expect(usage.tasks.used).toBe(0)
  })
})

describe('credentials', () => {
  test('a token is sent in a header, never in a URL, and without the browser’s cookies', async () => {
    const { client, requests } = watchedClient({ token: async () => token })
    await client.usage.today.query()
    const [request] = requests
    expect(request?.headers.get('authorization')).toBe(`Bearer ${token}`)
    expect(request?.url).not.toContain(token.slice(0, 10))
    expect(request?.init.credentials).toBe('omit')
  })

  test('a token function is called again for every request', async () => {
    const tokens = [token, 'not-a-token']
    const client = createClient({ url: server.url, token: () => tokens.shift() })
    await client.usage.today.query()
    expect((await failureOf(client.usage.today.query())).reason).toBe('unauthenticated')
    expect((await failureOf(client.usage.today.query())).reason).toBe('unauthenticated')
  })

  test('with cookies: true, the browser sends its cookies', async () => {
    const { client, requests } = watchedClient({ token: undefined, cookies: true })
    await failureOf(client.usage.today.query())
    expect(requests[0]?.init.credentials).toBe('include')
    expect(requests[0]?.headers.get('authorization')).toBeNull()
  })

  test("an organization that is not the caller's is refused", async () => {
    const client = createClient({ url: server.url, token, organizationId: randomUUID() })
    expect(await failureOf(client.tasks.list.query())).toMatchObject({
      code: 'FORBIDDEN',
      reason: 'not_a_member',
    })
  })

  test('a token is invalid after signing out', async () => {
    const { url } = server
    const token = await server.newToken()
    await signOut({ url, token })
    const failure = await failureOf(createClient({ url, token }).tasks.list.query())
    expect(failure.reason).toBe('unauthenticated')
  })

  test('signing in requires the password of the account', async () => {
    const { url } = server
    const email = 'grace@example.com'
    await signUp({ url, email, password: PASSWORD, name: 'Grace' })
    const { token } = await signIn({ url, email, password: PASSWORD })
    expect((await createClient({ url, token }).account.me.query()).user.email).toBe(email)
    expect(await failureOf(signIn({ url, email, password: 'wrong horse' }))).toMatchObject({
      code: 'UNAUTHORIZED',
      reason: 'unauthenticated',
      httpStatus: 401,
    })
  })

  test('an address can sign up only once, and not with a short password', async () => {
    const { url } = server
    const input = { url, email: 'joan@example.com', password: PASSWORD, name: 'Joan' }
    await signUp(input)
    expect(await failureOf(signUp(input))).toMatchObject({ code: 'CONFLICT', reason: 'unique_violation' })
    const short = await failureOf(signUp({ ...input, email: 'joan2@example.com', password: 'short' }))
    expect(short).toMatchObject({ code: 'BAD_REQUEST', reason: 'invalid_input' })
  })
})

describe('a server that hides which addresses have an account', () => {
  test('asks every sign-up to confirm the address, new or not', async () => {
    const discreet = await startServer({ SIGN_UP: 'private' })
    try {
      const input = { url: discreet.url, email: 'joan@example.com', password: PASSWORD, name: 'Joan' }
      for (const _ of ['new', 'taken'])
        await expect(signUp(input)).rejects.toBeInstanceOf(ConfirmationNeededError)
      expect(await failureOf(signIn(input))).toMatchObject({ reason: 'unauthenticated' })
    } finally {
      await discreet.close()
    }
  })
})

describe('failures', () => {
  test('a refusal has message, reason, path and request id', async () => {
    const failure = await failureOf(createClient({ url: server.url }).tasks.list.query())
    expect(failure).toMatchObject({
      name: 'RowhouseError',
      code: 'UNAUTHORIZED',
      reason: 'unauthenticated',
      httpStatus: 401,
      path: 'tasks.list',
      requestId: expect.stringMatching(/^[\w.-]{1,64}$/),
    })
    expect(failure).toBeInstanceOf(RowhouseError)
    expect(failure).toBeInstanceOf(TRPCClientError)
    expect(failure).toBeInstanceOf(Error)
  })

  test('the error for an invalid input has the issues by field', async () => {
    const failure = await failureOf(
      createClient({ url: server.url, token }).tasks.create.mutate({ prompt: ' ' }),
    )
    expect(failure).toMatchObject({ code: 'BAD_REQUEST', reason: 'invalid_input' })
    expect(failure.issues?.fieldErrors).toEqual({ prompt: ['must not be empty'] })
  })

  test('the error for a used-up quota says when to retry', async () => {
    const client = createClient({ url: server.url, token })
    const { id: taskId } = await client.tasks.create.mutate({ prompt: 'Talk to me' })
    await client.tasks.messages.send.mutate({ taskId, content: 'Hello' })
    const failure = await failureOf(client.tasks.messages.send.mutate({ taskId, content: 'Hello?' }))
    expect(failure).toMatchObject({ code: 'TOO_MANY_REQUESTS', reason: 'daily_quota' })
    expect(failure.retryAt?.getTime()).toBeGreaterThan(Date.now())
  })

  test('a server that does not answer is unreachable', async () => {
    const failure = await failureOf(createClient({ url: 'http://127.0.0.1:9', token }).tasks.list.query())
    expect(failure).toMatchObject({ code: 'UNREACHABLE', reason: 'unreachable', path: 'tasks.list' })
    expect(failure.message).toBe('http://127.0.0.1:9 is unreachable')
    expect(failure.httpStatus).toBeUndefined()
    const account = signIn({ url: 'http://127.0.0.1:9', email: 'ada@example.com', password: PASSWORD })
    expect((await failureOf(account)).reason).toBe('unreachable')
  })

  test('an answer from something in between is told apart from the server’s', async () => {
    const proxy = await startProxy(res => {
      res.writeHead(502, { 'content-type': 'text/html', 'retry-after': '7' }).end('<h1>Bad gateway</h1>')
    })
    const failure = await failureOf(createClient({ url: proxy.url, token }).tasks.list.query())
    expect(failure).toMatchObject({ reason: 'unreachable', httpStatus: 502 })
    expect(failure.message).not.toContain('?')
    expect(failure.retryAt?.getTime()).toBeGreaterThan(Date.now() + 5_000)
    proxy.close()
  })

  test('JSON that is not a tRPC answer is unreachable, too', async () => {
    const proxy = await startProxy(res => res.writeHead(200).end('{"hello":"world"}'))
    const failure = await failureOf(createClient({ url: proxy.url, token }).tasks.list.query())
    expect(failure).toMatchObject({ reason: 'unreachable', httpStatus: 200 })
    proxy.close()
  })

  test('an incomplete answer is unreachable', async () => {
    const proxy = await startProxy(res => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('[{"result"')
      setTimeout(() => res.destroy(), 20)
    })
    const failure = await failureOf(createClient({ url: proxy.url, token }).tasks.list.query())
    expect(failure).toMatchObject({ reason: 'unreachable', httpStatus: 200 })
    proxy.close()
  })

  test('an aborted call does not wait for the rest of its batch', async () => {
    const proxy = await startProxy(() => {})
    const client = createClient({ url: proxy.url, token })
    const abort = new AbortController()
    const other = failureOf(client.usage.today.query(undefined, { signal: AbortSignal.timeout(400) }))
    const mine = failureOf(client.tasks.list.query(undefined, { signal: abort.signal }))
    setTimeout(() => abort.abort(), 50)
    expect(await mine).toMatchObject({ code: 'ABORTED', reason: 'aborted', path: 'tasks.list' })
    expect(await other).toMatchObject({ code: 'ABORTED', cause: { name: 'TimeoutError' } })
    expect((await failureOf(client.tasks.list.query(undefined, { signal: abort.signal }))).code).toBe(
      'ABORTED',
    )
    proxy.close()
  })

  test('if the token function fails, the call is not sent', async () => {
    const cause = new Error('the keychain is locked')
    const { client, requests } = watchedClient({ token: () => Promise.reject(cause) })
    expect(await failureOf(client.tasks.list.query())).toMatchObject({
      code: 'UNSENT',
      reason: 'unsent',
      cause,
    })
    expect(requests).toEqual([])
  })
})
