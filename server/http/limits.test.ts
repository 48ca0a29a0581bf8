import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_BODY_BYTES } from './body.ts'
import { MAX_JSON_DEPTH, nestsTooDeep } from './json-depth.ts'
import { post, send, startApp, type TestServer } from './testing-servers.ts'

let server: TestServer
beforeAll(async () => {
  server = await startApp({ timeouts: { headersMs: 500, requestMs: 1500 } })
})
afterAll(() => server.close())

/** Writes bytes, and resolves with what comes back until the server closes. */
function sendBytes(port: number, parts: (string | Buffer)[], pauseMs = 0): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', async () => {
      for (const part of parts) {
        socket.write(part)
        if (pauseMs > 0) await new Promise(done => setTimeout(done, pauseMs))
      }
    })
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', error => ('code' in error && error.code === 'EPIPE' ? resolve(answer) : reject(error)))
  })
}

describe('a body', () => {
  it('may have 1 MiB, and a byte more is refused in tRPC’s shape', async () => {
    const body = (length: number) => `{"json":"${'x'.repeat(length - 11)}"}`
    expect((await post(server.port, '/trpc/write', body(MAX_BODY_BYTES))).status).toBe(200)
    const refused = await post(server.port, '/trpc/write', body(MAX_BODY_BYTES + 1))
    expect(refused.status).toBe(413)
    expect(JSON.parse(refused.body).error.json).toMatchObject({
      data: { code: 'PAYLOAD_TOO_LARGE', httpStatus: 413, path: 'write' },
    })
  })

  it('is refused past the limit whatever its type, and when its length was not announced', async () => {
    const body = 'x'.repeat(2 * MAX_BODY_BYTES)
    for (const type of [
      'application/json',
      'application/octet-stream',
      'multipart/form-data; boundary=x',
      'text/plain',
    ]) {
      const answer = await send(server.port, {
        method: 'POST',
        path: '/trpc/write',
        headers: { 'content-type': type },
        body,
      })
      expect(answer.status).toBe(413)
    }
    const auth = await post(server.port, '/api/auth/sign-in/email', body)
    expect(auth.status).toBe(413)
    expect(JSON.parse(auth.body)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', reason: 'too_large' })
    const head = `POST /trpc/write HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
    const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    expect(await sendBytes(server.port, [head, chunk])).toMatch(/^HTTP\/1.1 413 /)
  })

  it('far past the limit is refused before it is read', async () => {
    const head = `POST /trpc/write HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n`
    expect(await sendBytes(server.port, [head])).toMatch(/^HTTP\/1.1 413 /)
  })

  it('that never comes to its end is given up', async () => {
    const head = `POST /trpc/write HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n1`
    expect(await sendBytes(server.port, [head])).toMatch(/^HTTP\/1.1 408 /)
  })
})

describe('headers', () => {
  it('of 64 KiB are refused', async () => {
    const answer = await send(server.port, {
      path: '/trpc/null',
      headers: { 'x-long': 'x'.repeat(64 * 1024) },
    })
    expect(answer.status).toBe(431)
  })

  it('that come too slowly are given up', async () => {
    const parts = ['GET /trpc/null HTTP/1.1\r\n', ...Array.from({ length: 40 }, (_, i) => `x-${i}: 1\r\n`)]
    expect(await sendBytes(server.port, parts, 100)).toMatch(/^HTTP\/1.1 408 /)
  })
})

describe('what is meant to break the server is refused, and the server goes on', () => {
  const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const statusOf = async (body: string, path = '/trpc/write') => (await post(server.port, path, body)).status

  it.each([1_000, 100_000, 500_000])('JSON that nests %i deep', async depth => {
    expect(await statusOf(`{"json":${deep(depth)}}`)).toBe(400)
    expect(await statusOf(`{"json":${'{"a":'.repeat(depth / 10)}1${'}'.repeat(depth / 10)}}`)).toBeLessThan(
      500,
    )
    expect(await statusOf(`{"json":1,"meta":{"values":${deep(depth)}}}`)).toBe(400)
    expect(await statusOf('['.repeat(depth))).toBe(400)
    expect(await statusOf(`{"0":${deep(depth)}}`, '/trpc/write?batch=1')).toBe(400)
  })

  it('deep JSON in an address, and in a streamed batch', async () => {
    const input = encodeURIComponent(`{"json":${deep(2_000)}}`)
    for (const query of [`input=${input}`, `batch=1&input=${input}`, `connectionParams=${input}`]) {
      expect((await send(server.port, { path: `/trpc/echo?${query}` })).status).toBe(400)
    }
    const streamed = { 'trpc-accept': 'application/jsonl' }
    const answer = await post(server.port, '/trpc/write?batch=1', `{"0":${deep(100_000)}}`, streamed)
    expect(answer.status).toBe(400)
  })

  it('a batch of a thousand calls', async () => {
    const paths = (count: number) => Array(count).fill('touch').join(',')
    expect(await statusOf('{}', `/trpc/${paths(20)}?batch=1`)).toBe(200)
    expect(await statusOf('{}', `/trpc/${paths(21)}?batch=1`)).toBe(400)
    expect(await statusOf('{}', `/trpc/${paths(1000)}?batch=1`)).toBe(400)
  })

  it('names of prototypes', async () => {
    const poison = '{"json":{"__proto__":{"polluted":1}},"meta":{"values":{"__proto__.polluted":["Date"]}}}'
    expect(await statusOf(poison)).toBe(400)
    expect(
      await statusOf('{"json":{"a":1},"meta":{"referentialEqualities":{"a":["__proto__.polluted"]}}}'),
    ).toBe(400)
    for (const path of ['/trpc/__proto__', '/trpc/constructor', '/trpc/hasOwnProperty,toString?batch=1']) {
      expect(await statusOf('{}', path)).toBe(404)
    }
    expect('polluted' in {}).toBe(false)
  })

  it('odd paths, methods and numbers', async () => {
    for (const path of [
      '/trpc/%00',
      '/trpc/nul%00l',
      '/trpc/%',
      '/trpc/..%2f..%2fhealthz',
      '/trpc/../echo',
      '/trpc//',
      '/trpc',
    ]) {
      const { status } = await send(server.port, { path })
      expect([400, 404], path).toContain(status)
    }
    for (const method of ['TRACE', 'PROPFIND', 'PURGE']) {
      expect((await send(server.port, { method, path: '/trpc/null' })).status).toBe(405)
    }
    for (const number of ['1e999', '-1e999', '9'.repeat(10_000)])
      expect(await statusOf(`{"json":${number}}`)).toBe(200)
    expect(await statusOf(`{"json":"${'9'.repeat(500_000)}","meta":{"values":["bigint"]}}`)).toBeLessThan(500)
    expect((await send(server.port, { path: '/trpc/null' })).status).toBe(200)
  })
})

describe('depth', () => {
  const nested = (depth: number, filling = '') => `${'['.repeat(depth)}${filling}${']'.repeat(depth)}`

  it('is allowed up to the limit', () => {
    const filling = '"[[[[\\"{{{{\\\\"'
    expect(nestsTooDeep(nested(MAX_JSON_DEPTH, filling))).toBe(false)
    expect(nestsTooDeep(nested(MAX_JSON_DEPTH + 1, filling))).toBe(true)
  })

  it('is not counted in strings, nor over siblings', () => {
    expect(nestsTooDeep(`["${'['.repeat(1000)}","\\\\","\\"${'{'.repeat(1000)}"]`)).toBe(false)
    expect(nestsTooDeep(`[${'[],{},'.repeat(1000)}1]`)).toBe(false)
    expect(nestsTooDeep(`"${'['.repeat(1000)}`)).toBe(false)
  })
})
