import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { APP_URL, post, send, startApp, type TestServer } from './testing-servers.ts'

const FRIEND = 'https://friend.example.com'
const STRANGER = 'https://stranger.example.com'
const cookie = 'rowhouse.session_token=anything'

let server: TestServer
let touched = 0
let signedIn = 0
beforeAll(async () => {
  server = await startApp({
    createContext: () => {
      touched++
      return {}
    },
    auth: {
      handler: async () => {
        signedIn++
        return new Response(null, { status: 204 })
      },
    },
  })
})
afterAll(() => server.close())

const reasonOf = (body: string) => JSON.parse(body).error.json.message as string

describe('a call with a cookie that changes something', () => {
  it.each([
    ['the application itself', APP_URL],
    ['an allowed origin', FRIEND],
  ])('is answered when it comes from %s', async (_who, origin) => {
    const { status } = await post(server.port, '/trpc/touch', { json: null }, { cookie, origin })
    expect(status).toBe(200)
  })

  it.each([
    ['a foreign origin', { origin: STRANGER }],
    ['a sandboxed page', { origin: 'null' }],
    ['nowhere', {}],
    ['an origin that begins like an allowed one', { origin: `${APP_URL}.evil.com` }],
    ['another port of an allowed host', { origin: `${APP_URL}:8443` }],
    ['an origin with a path', { origin: `${APP_URL}/` }],
    ['the same site, with no origin', { 'sec-fetch-site': 'same-origin' }],
  ])('is refused when it comes from %s', async (_who, headers) => {
    const before = touched
    const answer = await post(server.port, '/trpc/touch', { json: null }, { cookie, ...headers })
    expect(answer.status).toBe(403)
    expect(reasonOf(answer.body)).toContain('allowed origin')
    expect(touched).toBe(before)
  })

  it.each([
    ['a form', 'application/x-www-form-urlencoded', 'json=null'],
    ['multipart', 'multipart/form-data; boundary=x', '--x--\r\n'],
    ['text', 'text/plain', '{"json":null}'],
    ['bytes', 'application/octet-stream', 'x'],
    ['no type at all', undefined, '{"json":null}'],
  ])('is refused as %s from a foreign origin, in a batch too', async (_what, type, body) => {
    const before = touched
    const headers = { cookie, origin: STRANGER, ...(type ? { 'content-type': type } : {}) }
    for (const path of ['/trpc/touch', '/trpc/touch?batch=1', '/trpc/file']) {
      expect((await send(server.port, { method: 'POST', path, headers, body })).status).toBe(403)
    }
    expect(touched).toBe(before)
  })

  it('is refused at /api/auth before the sign-in library sees it', async () => {
    const before = signedIn
    const refused = await post(server.port, '/api/auth/sign-out', {}, { cookie, origin: STRANGER })
    expect(refused.status).toBe(403)
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'FORBIDDEN', reason: 'foreign_origin' })
    expect(signedIn).toBe(before)
    expect((await post(server.port, '/api/auth/sign-out', {}, { cookie, origin: APP_URL })).status).toBe(204)
  })

  it('is free of the check with a bearer credential, which wins over the cookie', async () => {
    const headers = { cookie, authorization: 'Bearer x', origin: STRANGER }
    expect((await post(server.port, '/trpc/touch', { json: null }, headers)).status).toBe(200)
    const basic = { ...headers, authorization: 'Basic eDp5' }
    expect((await post(server.port, '/trpc/touch', { json: null }, basic)).status).toBe(403)
  })
})

it('a call without a cookie and a query with one need no origin', async () => {
  expect((await post(server.port, '/trpc/touch', { json: null })).status).toBe(200)
  expect((await send(server.port, { path: '/trpc/null', headers: { cookie } })).status).toBe(200)
})

describe('pages of another origin', () => {
  it('may read answers when they are allowed to', async () => {
    for (const path of ['/trpc/null', '/trpc/null?connectionParams=null', '/api/auth/get-session']) {
      const { headers } = await send(server.port, { path, headers: { origin: FRIEND } })
      expect(headers['access-control-allow-origin']).toBe(FRIEND)
      expect(headers['access-control-allow-credentials']).toBe('true')
      expect(headers['access-control-expose-headers']).toBe(
        'set-auth-token, set-two-factor-token, retry-after, x-request-id',
      )
      expect(headers.vary).toContain('origin')
    }
  })

  it('may not read answers otherwise', async () => {
    for (const path of ['/trpc/null', '/api/auth/get-session']) {
      const { headers } = await send(server.port, { path, headers: { origin: STRANGER } })
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
  })

  it.each(['/trpc/touch', '/api/auth/sign-in/email'])(
    'get an answer to their preflight of %s',
    async path => {
      const ask = (origin: string) =>
        send(server.port, {
          method: 'OPTIONS',
          path,
          headers: { origin, 'access-control-request-method': 'POST' },
        })
      const allowed = await ask(FRIEND)
      expect(allowed.status).toBe(204)
      expect(allowed.headers['access-control-allow-headers']).toContain('x-organization-id')
      expect(allowed.headers['access-control-allow-methods']).toBe('GET, POST, PUT')
      const refused = await ask(STRANGER)
      expect(refused.status).toBe(204)
      expect(refused.headers['access-control-allow-origin']).toBeUndefined()
    },
  )
})
