import { expect, it } from 'vitest'
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

it('admitted calls keep their latency when ten times as many are offered by callers who come back at once', {
  timeout: 20_000,
}, async () => {
  const hooks = { hold: () => new Promise<void>(resolve => setTimeout(resolve, 20)) }
  const { port, close } = await startApp({ hooks, limits: { maxInFlight: 20 } })
  try {
    const admitted: number[] = []
    let refused = 0
    const until = Date.now() + 1_500
    const caller = async () => {
      while (Date.now() < until) {
        const start = performance.now()
        const { status, headers } = await send(port, { path: '/trpc/held' })
        if (status === 200) admitted.push(performance.now() - start)
        else {
          expect([status, headers['retry-after']]).toEqual([503, '1'])
          refused++
        }
      }
    }
    await Promise.all(Array.from({ length: 200 }, caller))
    admitted.sort((a, b) => a - b)
    expect(refused).toBeGreaterThan(100)
    expect(admitted.length).toBeGreaterThan(100)
    expect(admitted[Math.floor(admitted.length / 2)]).toBeLessThan(500)
  } finally {
    await close()
  }
})
