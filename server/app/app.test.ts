import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { post, send, startApp, type TestAnswer } from '#server/http/testing-servers.ts'

const sleep = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

describe('health', () => {
  it('tells alive from ready', async () => {
    let readiness: { ok: boolean; reason?: string } | Error = { ok: true }
    const { port, close } = await startApp({
      readiness: async () => {
        if (readiness instanceof Error) throw readiness
        return readiness
      },
    })
    const ask = async (path: string) => {
      const { status, body } = await send(port, { path })
      return [status, JSON.parse(body)]
    }
    expect(await ask('/healthz')).toEqual([200, { ok: true }])
    expect(await ask('/readyz')).toEqual([200, { ok: true }])
    readiness = { ok: false, reason: 'the database does not answer' }
    expect(await ask('/readyz')).toEqual([503, { ok: false, reason: 'the database does not answer' }])
    readiness = new Error('password=hunter2')
    expect(await ask('/readyz')).toEqual([503, { ok: false, reason: 'the check failed' }])
    expect(await ask('/healthz')).toEqual([200, { ok: true }])
    await close()
  })

  it('answers 404 to what does not exist and 405 to a wrong method', async () => {
    const { port, close } = await startApp()
    for (const path of ['/', '/nope', '/trpc', '/api', '/.env'])
      expect((await send(port, { path })).status).toBe(404)
    for (const [method, path, allow] of [
      ['POST', '/healthz', 'GET, HEAD'],
      ['DELETE', '/api/auth/session', 'GET, POST'],
    ] as const) {
      const answer = await send(port, { method, path })
      expect([answer.status, answer.headers.allow]).toEqual([405, allow])
    }
    expect((await send(port, { path: '/nope' })).headers['x-content-type-options']).toBe('nosniff')
    await close()
  })
})

it('metrics count calls by procedure, collapse unknown paths, and read the pools', async () => {
  const pools = { usage: () => ({ api: { total: 3, idle: 1, waiting: 2 } }) }
  const { port, close } = await startApp({ services: { pools } })
  await send(port, { path: '/trpc/null' })
  await send(port, { path: '/trpc/null,who,throwError?batch=1' })
  for (let i = 0; i < 50; i++) await send(port, { path: `/trpc/unknown${i}` })
  for (let i = 0; i < 50; i++) await send(port, { path: `/unknown/${i}` })
  for (let i = 0; i < 50; i++)
    await post(port, '/trpc/null', '{}', { cookie: `a=${i}`, origin: `https://${i}.example.com` })
  const { body, headers } = await send(port, { path: '/metrics' })
  expect(headers['content-type']).toContain('text/plain')
  const counted = body.split('\n').filter(line => line.startsWith('rowhouse_calls_total'))
  expect(counted.sort()).toEqual([
    'rowhouse_calls_total{path="null",status="200"} 2',
    'rowhouse_calls_total{path="refused",status="403"} 50',
    'rowhouse_calls_total{path="throwError",status="500"} 1',
    'rowhouse_calls_total{path="unknown",status="404"} 100',
    'rowhouse_calls_total{path="who",status="200"} 1',
  ])
  expect(body).toContain('rowhouse_call_duration_seconds_count{path="null"} 2')
  expect(body).toContain('rowhouse_pool_connections{pool="api",state="waiting"} 2')
  expect(body).toContain('process_resident_memory_bytes')
  await close()
})

describe('/api/auth', () => {
  it('hands the request over as it came, under the configured address', async () => {
    const seen: { url: string; body: string; headers: Headers; ipAddress: string; method: string }[] = []
    const { port, close } = await startApp({
      auth: {
        handler: async (request, { ipAddress }) => {
          const { url, headers, method } = request
          seen.push({ url, headers, method, ipAddress, body: await request.text() })
          return new Response('{"ok":true}', {
            status: 201,
            headers: [
              ['set-cookie', 'a=1; Path=/'],
              ['set-cookie', 'b=2'],
              ['set-auth-token', 't'],
              ['content-type', 'application/json'],
            ],
          })
        },
      },
    })
    const headers = {
      host: 'evil.example.com',
      'x-forwarded-host': 'evil.example.com',
      'x-forwarded-for': '1.2.3.4',
    }
    const answer = await post(port, '/api/auth/sign-in/email?x=%20y', '{"email":"é"}', headers)
    expect(answer).toMatchObject({ status: 201, body: '{"ok":true}' })
    expect(answer.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2'])
    expect(answer.headers['set-auth-token']).toBe('t')
    await send(port, { path: '/api/auth/get-session' })
    expect(seen.map(({ url, body, ipAddress, method }) => ({ url, body, ipAddress, method }))).toEqual([
      {
        method: 'POST',
        url: 'https://app.example.com/api/auth/sign-in/email?x=%20y',
        body: '{"email":"é"}',
        ipAddress: '127.0.0.1',
      },
      {
        method: 'GET',
        url: 'https://app.example.com/api/auth/get-session',
        body: '',
        ipAddress: '127.0.0.1',
      },
    ])
    expect(seen[0]?.headers.get('content-type')).toBe('application/json')
    await close()
  })
})

describe('stopping', () => {
  it('denies readiness first, finishes the calls in flight, and takes no new connections', async () => {
    const letGo = Promise.withResolvers<void>()
    const { port, app } = await startApp({ hooks: { hold: () => letGo.promise }, announceMs: 300 })
    const held = [
      send(port, { path: '/trpc/held' }),
      send(port, { path: '/trpc/held?connectionParams=null' }),
    ]
    await sleep(100)
    const drained = app.drain()
    expect(JSON.parse((await send(port, { path: '/readyz' })).body)).toEqual({
      ok: false,
      reason: 'draining',
    })
    const meanwhile = await send(port, { path: '/trpc/null' })
    expect([meanwhile.status, meanwhile.headers.connection]).toEqual([200, 'close'])
    await sleep(400)
    await expect(send(port, { path: '/healthz' })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    letGo.resolve()
    for (const answer of await Promise.all(held))
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('let go') })
    await drained
    await app.drain()
  })

  it('does not wait for idle connections, nor for subscriptions', async () => {
    const { port, app } = await startApp({ hooks: { hold: () => new Promise(() => undefined) } })
    const idle = connect(port, '127.0.0.1').resume()
    const ended = new Promise(resolve => idle.on('close', resolve))
    idle.write('GET /trpc/null HTTP/1.1\r\nhost: x\r\n\r\n')
    const cut: Promise<TestAnswer> = send(port, { path: '/trpc/heldTicks' })
    cut.catch(() => undefined)
    await sleep(150)
    const start = Date.now()
    await app.drain(5_000)
    expect(Date.now() - start).toBeLessThan(1_000)
    await ended
    await expect(cut).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('cuts what is not done at the deadline, and aborts it', async () => {
    let aborted = 0
    const hooks = { hold: () => new Promise<void>(() => undefined), onAborted: () => aborted++ }
    const { port, app } = await startApp({ hooks })
    const cut = new Promise(resolve =>
      request({ port, host: '127.0.0.1', path: '/trpc/held' }).on('error', resolve).end(),
    )
    await sleep(100)
    const start = Date.now()
    await app.drain(300)
    expect(Date.now() - start).toBeLessThan(2_500)
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    expect(aborted).toBe(1)
  })
})
