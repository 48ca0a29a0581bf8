import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLogger } from '#server/app/logger.ts'
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

  it('may read nothing but their refusal otherwise', async () => {
    const [calls, signIns] = [touched, signedIn]
    for (const origin of [STRANGER, 'null']) {
      for (const path of ['/trpc/null', '/trpc/null?connectionParams=null', '/api/auth/get-session']) {
        const { status, headers, body } = await send(server.port, { path, headers: { origin, cookie } })
        expect(status).toBe(403)
        expect(headers['access-control-allow-origin']).toBe(origin)
        expect(headers['access-control-allow-credentials']).toBeUndefined()
        expect(headers.vary).toContain('origin')
        expect(body).toContain('ALLOWED_ORIGINS')
      }
    }
    expect([touched, signedIn]).toEqual([calls, signIns])
  })

  it('change nothing, with a cookie and without, and can read that', async () => {
    const [calls, signIns] = [touched, signedIn]
    for (const path of [
      '/trpc/touch',
      '/trpc/touch?batch=1',
      '/trpc/file',
      '/api/auth/sign-in/email',
      '/nowhere',
    ]) {
      const presented: Record<string, string>[] = [{ origin: STRANGER }, { origin: STRANGER, cookie }]
      for (const headers of presented) {
        const answer = await post(server.port, path, { json: null }, headers)
        expect(answer.status).toBe(403)
        expect(answer.headers['access-control-allow-origin']).toBe(STRANGER)
        expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
        expect(answer.body).toContain('ALLOWED_ORIGINS')
      }
    }
    expect([touched, signedIn]).toEqual([calls, signIns])
  })

  it('are answered as everyone is where no page is meant: health, and with a bearer credential', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const { status, headers } = await send(server.port, { path, headers: { origin: STRANGER } })
      expect(status).toBe(200)
      expect(headers['access-control-allow-origin']).toBeUndefined()
    }
    const headers = { origin: STRANGER, authorization: 'Bearer x' }
    const answer = await send(server.port, { path: '/trpc/null', headers })
    expect(answer.status).toBe(200)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
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
      // The call itself is sent then, and refused in words; it carries no credential.
      expect(refused.headers['access-control-allow-origin']).toBe(STRANGER)
      expect(refused.headers['access-control-allow-headers']).toContain('content-type')
      expect(refused.headers['access-control-allow-headers']).not.toMatch(/authorization|two-factor/)
      expect(refused.headers['access-control-allow-credentials']).toBeUndefined()
    },
  )
})

describe("the server's own addresses", () => {
  const ownOf = (port: number) => ['localhost', '127.0.0.1', '[::1]'].map(host => `http://${host}:${port}`)

  async function outcomes(appUrl: string, origins: (port: number) => string[]): Promise<number[]> {
    const local = await startApp({ config: { appUrl } })
    const statuses: number[] = []
    for (const origin of origins(local.port)) {
      statuses.push((await post(local.port, '/trpc/touch', { json: null }, { cookie, origin })).status)
    }
    await local.close()
    return statuses
  }

  it.each(['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:8080', 'https://localhost'])(
    'are allowed where the app is at %s',
    async appUrl => {
      expect(await outcomes(appUrl, port => [...ownOf(port), appUrl])).toEqual([200, 200, 200, 200])
      expect(
        await outcomes(appUrl, port => [
          `http://localhost:${port + 1}`,
          `https://localhost:${port}`,
          `http://localhost:${port}/`,
          `http://localhost.evil.com:${port}`,
          `http://127.0.0.2:${port}`,
          'http://localhost',
        ]),
      ).toEqual([403, 403, 403, 403, 403, 403])
    },
  )

  it.each([APP_URL, 'http://localhost.evil.com', 'http://127.evil.com'])(
    'are foreign where the app is at %s',
    async appUrl => {
      expect(await outcomes(appUrl, ownOf)).toEqual([403, 403, 403])
    },
  )
})

describe('the log', () => {
  it('names each refused origin once, with the variable that allows it, and ends after a hundred', async () => {
    const lines: string[] = []
    const log = createLogger({ level: 'warn', destination: { write: line => void lines.push(line) } })
    const logged = await startApp({ log })
    const ask = (origin: string, path = '/trpc/null') => send(logged.port, { path, headers: { origin } })
    for (const path of ['/trpc/null', '/trpc/touch', '/api/auth/get-session']) await ask(STRANGER, path)
    await send(logged.port, {
      method: 'OPTIONS',
      path: '/trpc/touch',
      headers: { origin: STRANGER, 'access-control-request-method': 'POST' },
    })
    expect(lines).toEqual([expect.stringContaining(`${STRANGER} was refused`)])
    expect(lines[0]).toContain('ALLOWED_ORIGINS')
    await ask('https://friend.example.com')
    expect(lines).toHaveLength(1)
    await ask('null')
    expect(lines).toHaveLength(2)
    for (let n = 0; n < 300; n++) await ask(`https://${n}.example.com`)
    await ask(`https://${'x'.repeat(10_000)}.example.com`)
    expect(lines).toHaveLength(101)
    for (const line of lines) expect(line.length).toBeLessThan(1_000)
    await logged.close()
  })

  it('shortens an origin that is too long to be one', async () => {
    const lines: string[] = []
    const log = createLogger({ level: 'warn', destination: { write: line => void lines.push(line) } })
    const logged = await startApp({ log })
    const origin = `https://${'x'.repeat(10_000)}.example.com`
    const { status, body } = await send(logged.port, { path: '/trpc/null', headers: { origin } })
    expect(status).toBe(403)
    expect(body.length).toBeLessThan(1_000)
    expect(lines.join('').length).toBeLessThan(1_000)
    await logged.close()
  })
})
