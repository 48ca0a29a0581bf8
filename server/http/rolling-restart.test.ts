import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { send, startApp } from './testing-servers.ts'

const GRACE_MS = 500
const RESTARTS = 20
const CALLERS = 8

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

// Outside of production, a server that has no connection at the moment does not wait for proxies to look.
const open = () => serveHouse(house.services, { announceMs: GRACE_MS, environment: 'production' })
type Backend = Awaited<ReturnType<typeof open>>

/** Keeps its connections, sends each call to the next server that says it is ready, and sends none twice. */
async function startProxy() {
  const agent = new Agent({ keepAlive: true, scheduling: 'fifo' })
  let backends: readonly Backend[] = []
  let ready: readonly Backend[] = []
  let turn = 0
  let begun = 0
  let counted = 0
  const isReady = async ({ port }: Backend) => {
    const { status } = await send(port, { path: '/readyz' }).catch(() => ({ status: 0 }))
    return status === 200
  }
  // A check that ends after a later one counts for nothing: it may have asked a server before that stopped.
  const check = async () => {
    const asked = backends
    const number = ++begun
    const states = await Promise.all(asked.map(isReady))
    if (number < counted) return
    counted = number
    ready = asked.filter((_, index) => states[index])
  }
  const checking = setInterval(() => void check(), 50)
  const proxy: Server = createServer((call, answer) => {
    const backend = ready[turn++ % ready.length]
    const { method, url: path, headers } = call
    const onward = request({ host: '127.0.0.1', port: backend?.port, agent, method, path, headers }, back => {
      // As every proxy: what the server says about its connection is not the caller's.
      const { connection: _, 'keep-alive': __, ...rest } = back.headers
      answer.writeHead(back.statusCode ?? 500, rest)
      back.pipe(answer)
    })
    onward.on('error', error => answer.writeHead(502).end(String(error)))
    call.pipe(onward)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const { port } = proxy.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async use(servers: readonly Backend[]) {
      backends = servers
      await check()
    },
    async close() {
      clearInterval(checking)
      proxy.closeAllConnections()
      await new Promise(resolve => proxy.close(resolve))
      agent.destroy()
    },
  }
}

it(`${RESTARTS} restarts behind a proxy that keeps connections fail no call`, {
  timeout: 120_000,
}, async () => {
  const proxy = await startProxy()
  let servers = [await open(), await open()]
  await proxy.use(servers)
  const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
  const outcomes = new Map<string, number>()
  let isOver = false
  const callers = Array.from({ length: CALLERS }, async (_, n) => {
    while (!isOver) {
      const response = await fetch(`${proxy.url}/trpc/tasks.logs.append`, {
        method: 'POST',
        headers: { authorization: ada.authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ json: { taskId, entries: [{ type: 'info', message: 'x' }] } }),
      })
      const outcome = response.ok ? '200' : `${response.status} ${await response.text()}`
      if (response.ok) await response.arrayBuffer()
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      // Connections fall idle, and some are taken up again just when their server goes.
      await sleep(n * 5)
    }
  })
  try {
    for (let restart = 0; restart < RESTARTS; restart++) {
      const [oldest, ...others] = servers
      servers = [...others, await open()]
      // The proxy learns of both by asking.
      await proxy.use([...servers, ...(oldest ? [oldest] : [])])
      await oldest?.close()
    }
  } finally {
    isOver = true
    await Promise.all(callers)
    for (const server of servers) await server.close()
    await proxy.close()
  }
  expect([...outcomes.keys()]).toEqual(['200'])
  expect(outcomes.get('200')).toBeGreaterThan(RESTARTS)
})

it('an answer that was begun before the server was asked to stop ends its connection, whatever gives it', async () => {
  const letGo = Promise.withResolvers<void>()
  const { port, app } = await startApp({
    hooks: { hold: () => letGo.promise },
    auth: {
      handler: async () => {
        await letGo.promise
        return new Response('{}')
      },
    },
    announceMs: 300,
  })
  const held = [
    send(port, { path: '/trpc/held' }),
    send(port, { path: '/trpc/held?connectionParams=null' }),
    send(port, { path: '/api/auth/ok' }),
  ]
  await sleep(100)
  const drained = app.drain()
  letGo.resolve()
  for (const { status, headers } of await Promise.all(held)) {
    expect([status, headers.connection]).toEqual([200, 'close'])
  }
  await drained
})

it('a server with no connection open waits for nobody, outside of production', async () => {
  const { app } = await startApp({ announceMs: 60_000 })
  const startedAt = Date.now()
  await app.drain()
  expect(Date.now() - startedAt).toBeLessThan(10_000)
})
