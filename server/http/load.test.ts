import { connect, type Socket } from 'node:net'
import { expect, it, vi } from 'vitest'
import { watchLoad } from './load.ts'
import { post, send, startApp } from './testing-servers.ts'

function hold() {
  const letGo = Promise.withResolvers<void>()
  return { letGo, hooks: { hold: () => letGo.promise } }
}

it('past its capacity the server refuses at once with retry-after, and goes on with what it admitted', async () => {
  const { letGo, hooks } = hold()
  const { port, app, close } = await startApp({ hooks, limits: { maxInFlight: 4 } })
  try {
    const held = [send(port, { path: '/trpc/held' }), send(port, { path: '/trpc/held,held,held?batch=1' })]
    await expect
      .poll(async () => (await app.metrics.registry.metrics()).includes('calls_in_flight 4'))
      .toBe(true)
    for (const path of ['/trpc/null', '/trpc/null,who?batch=1', '/trpc/ticks', '/trpc/missing']) {
      const refused = await send(port, { path })
      expect(refused.status).toBe(503)
      expect(refused.headers['retry-after']).toBe('1')
      expect(JSON.parse(refused.body).error.json.data).toMatchObject({
        code: 'SERVICE_UNAVAILABLE',
        httpStatus: 503,
      })
    }
    const auth = await post(port, '/api/auth/sign-in/email', {})
    expect(auth.status).toBe(503)
    expect(auth.headers['retry-after']).toBe('1')
    expect(JSON.parse(auth.body)).toMatchObject({ code: 'SERVICE_UNAVAILABLE', reason: 'overloaded' })
    for (const path of ['/healthz', '/readyz', '/metrics'])
      expect((await send(port, { path })).status).toBe(200)

    letGo.resolve()
    expect((await Promise.all(held)).map(answer => answer.status)).toEqual([200, 200])
    expect((await send(port, { path: '/trpc/null' })).status).toBe(200)
    expect(await app.metrics.registry.metrics()).toContain('rowhouse_calls_shed_total 5')
  } finally {
    await close()
  }
})

it('an open subscription takes no capacity', async () => {
  const { letGo, hooks } = hold()
  const { port, close } = await startApp({ hooks, limits: { maxInFlight: 1 } })
  try {
    const waiting = send(port, { path: '/trpc/heldTicks' })
    await new Promise(resolve => setTimeout(resolve, 100))
    expect((await send(port, { path: '/trpc/null' })).status).toBe(200)
    letGo.resolve()
    expect((await waiting).body).toContain('let go')
  } finally {
    await close()
  }
})

it('bodies that come slowly take no capacity', async () => {
  const { port, app, close } = await startApp({ limits: { maxInFlight: 2 } })
  const json = 'application/json'
  const form = 'multipart/form-data; boundary=x'
  const slow = await Promise.all(
    (
      [
        ['/api/auth/sign-in/email', json],
        ['/api/auth/sign-up/email', json],
        ['/trpc/write', json],
        ['/trpc/file', form],
        ['/trpc/file', form],
        ['/trpc/file', 'application/octet-stream'],
      ] as const
    ).map(
      ([path, type]) =>
        new Promise<Socket>((resolve, reject) => {
          const headers = `host: x\r\ncontent-type: ${type}\r\ncontent-length: 100\r\nexpect: 100-continue`
          const socket = connect(port, '127.0.0.1', () =>
            socket.write(`POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n{`),
          )
          // The server has begun with it once it asks for the body.
          socket.once('data', () => resolve(socket)).on('error', reject)
        }),
    ),
  )
  try {
    expect((await send(port, { path: '/trpc/null' })).status).toBe(200)
    expect((await post(port, '/api/auth/sign-in/email', {})).status).toBe(404)
    for (const socket of slow) socket.destroy()
    await expect
      .poll(async () => (await app.metrics.registry.metrics()).includes('calls_in_flight 0'))
      .toBe(true)
  } finally {
    for (const socket of slow) socket.destroy()
    await close()
  }
})

it('an admitted call waits for no more than a few refusals, however many callers come back at once', async () => {
  const waiting: (() => void)[] = []
  const inFlight = { now: 0, most: 0 }
  const hooks = {
    async hold() {
      inFlight.now += 1
      inFlight.most = Math.max(inFlight.most, inFlight.now)
      await new Promise<void>(resolve => waiting.push(resolve))
      inFlight.now -= 1
    },
  }
  const { port, close } = await startApp({ hooks, limits: { maxInFlight: 20 } })
  let isOpen = true
  let refusals = 0
  const comeBack = async () => {
    while (isOpen) {
      const { status, headers } = await send(port, { path: '/trpc/held' })
      if (status === 200) continue
      expect([status, headers['retry-after']]).toEqual([503, '1'])
      refusals += 1
    }
  }
  try {
    const held = Array.from({ length: 20 }, () => send(port, { path: '/trpc/held' }))
    await expect.poll(() => waiting.length).toBe(20)
    const callers = Array.from({ length: 200 }, comeBack)
    await expect.poll(() => refusals).toBeGreaterThan(400)
    const meanwhile: number[] = []
    for (const call of held) {
      const before = refusals
      waiting.shift()?.()
      expect((await call).status).toBe(200)
      meanwhile.push(refusals - before)
    }
    // All callers at once would be 180 more.
    expect(Math.max(...meanwhile)).toBeLessThan(100)
    isOpen = false
    await expect
      .poll(() => {
        for (const letGo of waiting.splice(0)) letGo()
        return inFlight.now
      })
      .toBe(0)
    await Promise.all(callers)
    expect(inFlight.most).toBe(20)
  } finally {
    isOpen = false
    for (const letGo of waiting) letGo()
    await close()
  }
})

it('refusals are told in turns, so that those who come back at once leave time for the others', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const load = watchLoad()
  try {
    let told = 0
    const turns = Array.from({ length: 50 }, () => load.refusalTurn().then(() => told++))
    const counts: number[] = []
    for (let turn = 0; turn < 4; turn++) {
      await vi.advanceTimersByTimeAsync(10)
      counts.push(told)
    }
    expect(counts).toEqual([20, 40, 50, 50])
    await Promise.all(turns)
  } finally {
    load.stop()
    vi.useRealTimers()
  }
})
