import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { TRPCError } from '@trpc/server'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createCaller as createCallerOf } from '#server/rpc/caller.ts'
import { AppError } from '#server/rpc/errors.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { createCaller, reasonOf, respond } from './next.ts'

let house: House
let ada: Actor
let grace: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  grace = await createActor(house, { name: 'Grace' })
})
afterAll(() => house.close())

const COOKIE = 'better-auth.session_token'

function requestOf(actor: Actor, init: RequestInit = {}): Request {
  return new Request('http://localhost:3000/somewhere', {
    ...init,
    headers: { cookie: `theme=dark; ${COOKIE}=${encodeURIComponent(actor.token)}` },
  })
}

test('a route handler calls as the sender of its request', async () => {
  const { services } = house
  const task = await createCaller(requestOf(ada), { services }).tasks.create({ prompt: 'Mend the roof' })
  expect((await createCaller(requestOf(ada), { services }).tasks.list()).items).toEqual([task])
  expect((await createCaller(requestOf(grace), { services }).tasks.list()).items).toEqual([])
})

test("a server component calls with the visitor's headers", async () => {
  const { services } = house
  const token = await createApiToken(ada, { scopes: ['tasks:read'] })
  const organization = await createOrganization(ada)
  const headers = new Headers({
    authorization: token.authorization,
    'x-organization-id': organization.id,
  })
  const { user, credential } = await createCaller(headers, { services }).account.me()
  expect({ id: user.id, credential }).toEqual({ id: ada.userId, credential: 'token' })
  const session = new Headers({ authorization: ada.authorization, 'x-organization-id': organization.id })
  const me = await createCaller(session, { services }).account.me()
  expect(me.organization).toEqual({ id: organization.id, role: 'owner' })
})

describe('a call is made as the sender, with headers of the form', () => {
  /** The result of Next's `headers()`: a sealed proxy whose `in` is always true. */
  function sealed(headers: Headers): Headers {
    return new Proxy(headers, {
      has: () => true,
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  function incoming(headers: Record<string, string>): IncomingMessage {
    return Object.assign(new IncomingMessage(new Socket()), { headers })
  }

  test.each<[string, (cookie: string) => Parameters<typeof createCaller>[0]]>([
    ["a Request's", cookie => new Request('http://localhost', { headers: { cookie } })],
    ['Headers', cookie => new Headers({ cookie })],
    ["Next's, sealed", cookie => sealed(new Headers({ cookie }))],
    ['those of a Request with sealed headers', cookie => ({ headers: sealed(new Headers({ cookie })) })],
    [
      'those of a proxied Request',
      cookie => {
        const request = new Request('http://localhost', { headers: { cookie } })
        return new Proxy(request, { get: (target, name) => Reflect.get(target, name, target) })
      },
    ],
    ['an object with only get', cookie => ({ get: name => (name === 'cookie' ? cookie : null) })],
    ["Node's", cookie => ({ host: 'localhost', cookie })],
    ["Node's message", cookie => incoming({ cookie })],
    ['an object with capital letters', cookie => ({ Host: 'localhost', Cookie: cookie })],
    ['pairs', cookie => [['Cookie', cookie]]],
    [
      'pairs with several cookies',
      cookie => [
        ['cookie', 'theme=dark'],
        ['cookie', cookie],
      ],
    ],
    ['an object with lists of values', cookie => ({ cookie: ['theme=dark', cookie] })],
    ['a map', cookie => new Map([['cookie', cookie]])],
    ['an object without a prototype', cookie => Object.assign(Object.create(null), { cookie })],
  ])('%s', async (_what, make) => {
    const cookie = `${COOKIE}=${encodeURIComponent(ada.token)}`
    const caller = createCaller(make(cookie), { services: house.services })
    expect((await caller.account.me()).user.id).toBe(ada.userId)
  })

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'expected a request, or its headers'],
    ['null', null, 'expected a request, or its headers'],
    ['text', 'cookie: x', 'expected a request, or its headers'],
    ['a promise', Promise.resolve(new Headers()), 'await headers() first'],
  ])('not %s', (_what, given, message) => {
    expect(() => createCaller(given as Headers)).toThrow(message)
  })
})

test("the server's own caller accepts headers in the same forms", async () => {
  const headers = new Headers({ authorization: ada.authorization })
  expect((await createCallerOf(house.services, { headers }).account.me()).user.id).toBe(ada.userId)
})

test('a caller reads the headers at once, and opens nothing before its first call', async () => {
  let isRead = false
  const request = {
    get headers(): Headers {
      isRead = true
      return new Headers()
    },
  }
  vi.stubEnv('NODE_ENV', 'production')
  vi.stubEnv('AUTH_SECRET', '')
  const caller = createCaller(request)
  expect(isRead).toBe(true)
  await expect(caller.account.me()).rejects.toThrow('AUTH_SECRET is missing')
  vi.unstubAllEnvs()
})

describe('a route handler', () => {
  const answerOf = async (work: () => unknown) => {
    const response = await respond(work)
    return { status: response.status, body: await response.json(), headers: response.headers }
  }

  test('responds with what a call returns', async () => {
    const { services } = house
    const call = () => createCaller(requestOf(grace), { services }).tasks.list()
    expect(await answerOf(call)).toMatchObject({ status: 200, body: { items: [], nextCursor: null } })
    expect(await answerOf(() => undefined)).toMatchObject({ status: 200, body: null })
    expect(await answerOf(() => Response.json(1, { status: 201 }))).toMatchObject({ status: 201, body: 1 })
  })

  test('responds with the status and reason of a failed call', async () => {
    const { services } = house
    const caller = createCaller(requestOf(ada), { services })
    const id = '0198c1de-0000-7000-8000-000000000000'
    const failures = [
      [() => createCaller(new Headers(), { services }).tasks.list(), 401, 'unauthenticated'],
      [() => caller.tasks.get({ id }), 404, 'not_found'],
      [() => caller.tasks.get({ id: 'x' }), 400, 'invalid_input'],
      [() => caller.organizations.get({ organizationId: id }), 404, 'not_found'],
      [
        () => caller.connections.authorize({ provider: 'github', returnTo: '/' }),
        412,
        'provider_not_configured',
      ],
    ] as const
    for (const [call, status, reason] of failures) {
      const error = await call().catch((error: unknown) => error)
      expect(reasonOf(error)).toBe(reason)
      const { body, ...answer } = await answerOf(call)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(body).toMatchObject({
        error: { message: expect.any(String), data: { httpStatus: status, reason } },
      })
      expect(body.error.data.path).toMatch(/^\w+\.\w+$/)
      expect(JSON.stringify(body)).not.toContain('stack')
    }
  })

  test('rethrows errors that are not refusals of a call', async () => {
    const redirect = Object.assign(new Error('NEXT_REDIRECT'), { digest: 'NEXT_REDIRECT;replace;/;307;' })
    await expect(respond(() => Promise.reject(redirect))).rejects.toBe(redirect)
    expect(reasonOf(redirect)).toBeUndefined()
    expect(reasonOf(undefined)).toBeUndefined()
  })
})

test('a visitor without a credential is refused with a reason', async () => {
  const { services } = house
  const error = await createCaller(new Headers(), { services })
    .tasks.list()
    .catch((error: unknown) => error)
  expect(error).toBeInstanceOf(TRPCError)
  expect(error).toMatchObject({ code: 'UNAUTHORIZED', cause: { reason: 'unauthenticated' } })
  expect((error as TRPCError).cause).toBeInstanceOf(AppError)
})

test('an aborted request sends nothing to the database', async () => {
  const abort = new AbortController()
  const request = requestOf(ada, { signal: abort.signal })
  abort.abort()
  const call = createCaller(request, { services: house.services }).tasks.list()
  await expect(call).rejects.toMatchObject({ code: 'CLIENT_CLOSED_REQUEST' })
})

test('a call that prolongs the session sends the cookie again', async () => {
  const { services } = house
  const cookies: string[] = []
  const call = () =>
    createCaller(requestOf(grace), { services, onSetCookie: value => cookies.push(value) }).account.me()
  await call()
  expect(cookies).toEqual([])
  await house.owner.query(
    `update auth.sessions set expires_at = now() + interval '3 days', updated_at = now() - interval '4 days' where id = $1`,
    [grace.sessionId],
  )
  await call()
  expect(cookies).toEqual([expect.stringMatching(/^better-auth\.session_token=.+Max-Age=604800/)])
  await expect
    .poll(async () => {
      const { rows } = await house.owner.query(
        `select expires_at > now() + interval '6 days' as is_prolonged from auth.sessions where id = $1`,
        [grace.sessionId],
      )
      return rows[0].is_prolonged
    })
    .toBe(true)
})
