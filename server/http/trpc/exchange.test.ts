import { request } from 'node:http'
import { expect, it } from 'vitest'
import { createLogger } from '#server/app/logger.ts'
import { post, send, startApp, startReference } from '../testing-servers.ts'
import type { ContextInput, HttpContext } from './context-input.ts'

/** Runs with a server of our own that is closed in the end. */
async function withApp(
  options: Parameters<typeof startApp>[0],
  use: (server: Awaited<ReturnType<typeof startApp>>) => Promise<void>,
): Promise<void> {
  const server = await startApp(options)
  try {
    await use(server)
  } finally {
    await server.close()
  }
}

function logLines() {
  const lines: Record<string, unknown>[] = []
  let text = ''
  const destination = {
    write(line: string) {
      text += line
      lines.push(JSON.parse(line))
    },
  }
  return { lines, text: () => text, log: createLogger({ level: 'trace', destination }) }
}

it('a caller’s own request id is kept when it is sane, else there is a new one, and the logs have it', async () => {
  const { log, lines } = logLines()
  await withApp({ log }, async ({ port }) => {
    const idOf = async (path: string, id?: string) => {
      const answer = await send(port, { path, headers: id ? { 'x-request-id': id } : {} })
      return String(answer.headers['x-request-id'])
    }
    for (const path of ['/trpc/null', '/trpc/ticks', '/healthz', '/nowhere']) {
      expect(await idOf(path, 'abc-123_x.y')).toBe('abc-123_x.y')
      const fresh = [
        await idOf(path),
        await idOf(path, 'a b'),
        await idOf(path, 'x'.repeat(65)),
        await idOf(path, '{"a":1}'),
      ]
      expect(new Set(fresh).size).toBe(4)
      for (const id of fresh) expect(id).toMatch(/^[0-9a-f]{12}-[0-9a-z]+$/)
    }
    expect(lines.filter(line => line.requestId === 'abc-123_x.y')).toHaveLength(4)
  })
})

it('nothing secret of a request is logged, at any level', async () => {
  const { log, text } = logLines()
  await withApp(
    { log, auth: { handler: async () => Promise.reject(new Error('broken')) } },
    async ({ port }) => {
      const headers = {
        authorization: 'Bearer hunter2-a',
        cookie: 'rowhouse.session_token=hunter2-b',
        origin: 'https://app.example.com',
      }
      await post(port, '/trpc/write', { json: { password: 'hunter2-c' } }, headers)
      await post(port, '/trpc/write', '{"password":"hunter2-d', headers)
      await send(port, { path: '/trpc/throwError?input=hunter2-e', headers })
      expect((await post(port, '/api/auth/sign-in/email', { password: 'hunter2-f' }, headers)).status).toBe(
        500,
      )
      log.info({ headers, req: { headers }, password: 'hunter2-g', session: { token: 'hunter2-h' } })
      expect(text()).toContain('broken')
      expect(text()).not.toContain('hunter2')
    },
  )
})

it('a fault of ours is logged whole under the request’s id, an expected failure at debug, and a success at debug', async () => {
  const { log, lines } = logLines()
  await withApp({ log }, async ({ port }) => {
    await send(port, { path: '/trpc/throwError', headers: { 'x-request-id': 'one' } })
    await send(port, { path: '/trpc/missing', headers: { 'x-request-id': 'two' } })
    await send(port, { path: '/trpc/null?input=secret', headers: { 'x-request-id': 'three' } })
  })
  const of = (id: string) => lines.filter(line => line.requestId === id)
  expect(of('one')).toMatchObject([
    { level: 'error', path: 'throwError', err: { message: 'thrown' } },
    { level: 'error', method: 'GET', path: '/trpc/throwError', status: 500 },
  ])
  expect(of('two')).toMatchObject([
    { level: 'debug', code: 'NOT_FOUND' },
    { level: 'debug', status: 404 },
  ])
  expect(of('three')).toMatchObject([{ level: 'debug', path: '/trpc/null', status: 200 }])
})

it.each(['/trpc/held', '/trpc/held?batch=1', '/trpc/held?connectionParams=null'])(
  'a caller who leaves aborts the call’s signal, as with tRPC’s own handler (%s)',
  async path => {
    let aborted = 0
    const letGo = Promise.withResolvers<void>()
    const hooks = { onAborted: () => aborted++, hold: () => letGo.promise }
    const servers = [await startReference('superjson', hooks), await startApp({ hooks })]
    try {
      for (const [index, { port }] of servers.entries()) {
        const outgoing = request({ host: '127.0.0.1', port, path })
        outgoing.on('error', () => undefined)
        outgoing.end()
        await new Promise(resolve => setTimeout(resolve, 100))
        expect(aborted).toBe(index)
        outgoing.destroy()
        await expect.poll(() => aborted).toBe(index + 1)
      }
    } finally {
      letGo.resolve()
      await Promise.all(servers.map(server => server.close()))
    }
  },
)

it('an answered call’s signal is not aborted', async () => {
  const signals: AbortSignal[] = []
  const createContext = ({ signal }: ContextInput) => {
    signals.push(signal)
    return {}
  }
  await withApp({ createContext }, async ({ port }) => {
    await send(port, { path: '/trpc/null' })
    await send(port, { path: '/trpc/null?connectionParams=null' })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(signals.map(signal => signal.aborted)).toEqual([false, false])
  })
})

it.each([
  '/trpc/null',
  '/trpc/null,null?batch=1',
  '/trpc/null?connectionParams=null',
  '/trpc/ticks',
  '/trpc/missing',
])(
  'what a context leaves for the answer is added, and it is told once when the answer is on its way (%s)',
  async path => {
    let told = 0
    const context: HttpContext = {
      takeResponseHeaders: () => ({ 'set-cookie': ['a=1', 'b=2'], 'x-extra': 'yes' }),
      afterAnswer: async () => {
        told++
        throw new Error('this is logged and goes no further')
      },
    }
    await withApp({ createContext: () => context }, async ({ port }) => {
      const { headers } = await send(port, { path })
      expect(headers['set-cookie']).toEqual(['a=1', 'b=2'])
      expect(headers['x-extra']).toBe('yes')
      await expect.poll(() => told).toBe(1)
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(told).toBe(1)
    })
  },
)

it('a context knows the peer’s address, the headers and the request’s id', async () => {
  const inputs: ContextInput[] = []
  const createContext = (input: ContextInput) => {
    inputs.push(input)
    return {}
  }
  await withApp({ createContext }, async ({ port }) => {
    const headers = { 'x-request-id': 'one', 'x-organization-id': 'o', 'x-forwarded-for': '1.2.3.4' }
    await send(port, { path: '/trpc/null', headers })
    await send(port, { path: '/trpc/ticks', headers })
    for (const input of inputs) {
      expect(input).toMatchObject({
        ipAddress: '127.0.0.1',
        requestId: 'one',
        headers: { 'x-organization-id': 'o' },
      })
    }
    expect(inputs).toHaveLength(2)
  })
})
