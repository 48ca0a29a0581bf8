import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createTRPCClient } from '@trpc/client'
import { createHTTPHandler } from '@trpc/server/adapters/standalone'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect as connectClient } from '#client/connection.ts'
import { createLinks } from '#client/links.ts'
import { send } from '#server/http/testing-servers.ts'
import { contextFactory } from '#server/rpc/context.ts'
import { type AppRouter, appRouter } from '#server/rpc/router.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'

const MISSING = '01990000-0000-7000-8000-000000000000'

let house: House
let ada: Actor
let reference: Server
let referencePort: number
let port: number
let close: () => Promise<void>
let ended: string

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
  ;({ port, close } = await serveHouse(house.services))
  const createContext = contextFactory(house.services)
  reference = createServer(
    createHTTPHandler({
      router: appRouter,
      basePath: '/trpc/',
      createContext: ({ req }) => createContext({ headers: req.headers }),
    }),
  )
  await new Promise<void>(resolve => reference.listen(0, '127.0.0.1', resolve))
  referencePort = (reference.address() as AddressInfo).port
  ended = await conversation()
})
afterAll(async () => {
  reference.close()
  reference.closeAllConnections()
  await close()
  await house.close()
})

/** An ended task with logs and every kind of message event. */
async function conversation(): Promise<string> {
  const { tasks } = ada.caller()
  const { id: taskId } = await tasks.create({ prompt: 'x' })
  await tasks.logs.append({
    taskId,
    entries: [
      { type: 'command', message: 'npm test' },
      { type: 'error', message: 'line\nbreaks\r\n, "quotes", 😀 and \u2028' },
    ],
  })
  await tasks.messages.send({ taskId, content: 'please' })
  const { id } = await tasks.messages.start({ taskId })
  await tasks.messages.append({ id, offset: 0, delta: 'wel' })
  await tasks.messages.append({ id, offset: 3, delta: 'l 😀\n\n\ndata: x' })
  await tasks.messages.finish({ id })
  await tasks.stop({ id: taskId })
  return taskId
}

describe('a stream has the bytes that tRPC’s own handler gives it', () => {
  const FRAMING = ['date', 'connection', 'keep-alive', 'x-request-id', 'x-content-type-options']
  const cases: Record<string, () => { path: string; headers?: Record<string, string> }> = {
    'of logs': () => ({ path: streamPath('tasks.logs.stream', { taskId: ended }) }),
    'of messages': () => ({ path: streamPath('tasks.messages.stream', { taskId: ended }) }),
    'resumed by its header': () => ({
      path: streamPath('tasks.messages.stream', { taskId: ended }),
      headers: { 'last-event-id': '3' },
    }),
    'resumed by its input': () => ({
      path: streamPath('tasks.messages.stream', { taskId: ended, lastEventId: '4' }),
    }),
    'resumed by its query': () => ({
      path: `${streamPath('tasks.logs.stream', { taskId: ended })}&lastEventId=1`,
    }),
    'resumed behind its end': () => ({
      path: `${streamPath('tasks.logs.stream', { taskId: ended })}&Last-Event-Id=70`,
    }),
    'of a task that is missing': () => ({ path: streamPath('tasks.logs.stream', { taskId: MISSING }) }),
    'with an id that is none': () => ({
      path: streamPath('tasks.logs.stream', { taskId: ended, lastEventId: 'x' }),
    }),
    'with an input that is none': () => ({ path: '/trpc/tasks.logs.stream?input=[' }),
    'with no input': () => ({ path: '/trpc/tasks.logs.stream' }),
    'with no input but an id': () => ({ path: '/trpc/tasks.logs.stream', headers: { 'last-event-id': '1' } }),
    'with unknown input': () => ({
      path: streamPath('tasks.logs.stream', { taskId: ended, userId: MISSING }),
    }),
    'of a caller who is unknown': () => ({
      path: streamPath('tasks.logs.stream', { taskId: ended }),
      headers: { authorization: 'Bearer x' },
    }),
    'in a batch': () => ({ path: `${streamPath('tasks.logs.stream', { taskId: ended })}&batch=1` }),
    'asked for as JSON lines': () => ({
      path: streamPath('tasks.logs.stream', { taskId: ended }),
      headers: { 'trpc-accept': 'application/jsonl' },
    }),
  }
  it.each(Object.keys(cases))('%s', async name => {
    const { path, headers } = cases[name]?.() ?? { path: '' }
    const asked = { path, headers: { authorization: ada.authorization, ...headers } }
    const [expected, answer] = await Promise.all([send(referencePort, asked), send(port, asked)])
    for (const each of [expected, answer]) {
      for (const header of FRAMING) delete each.headers[header]
      if (each.headers['cache-control'] === 'no-store') delete each.headers['cache-control']
    }
    expect(answer).toEqual(expected)
    expect(answer.body.length).toBeGreaterThan(50)
  })
})

it('a stream to an old client is not in chunks', async () => {
  const path = streamPath('tasks.logs.stream', { taskId: ended })
  const answer = await new Promise<string>(resolve => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', data => {
      text += data
    })
    socket.on('end', () => resolve(text))
    socket.write(`GET ${path} HTTP/1.0\r\nauthorization: ${ada.authorization}\r\n\r\n`)
  })
  const [head = '', ...body] = answer.split('\r\n\r\n')
  expect(head).not.toMatch(/transfer-encoding/i)
  const whole = await send(port, { path, headers: { authorization: ada.authorization } })
  expect(body.join('\r\n\r\n')).toBe(whole.body)
})

it('requests behind each other on one connection are answered in their order', async () => {
  const { id } = await ada.caller().tasks.create({ prompt: 'x' })
  const follow = (taskId: string) =>
    `GET ${streamPath('tasks.logs.stream', { taskId })} HTTP/1.1\r\nhost: x\r\nauthorization: ${ada.authorization}\r\n\r\n`
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', data => {
    text += data
  })
  socket.write(follow(id) + follow(ended))
  await new Promise(resolve => setTimeout(resolve, 100))
  expect(text.match(/event: connected/g)).toHaveLength(1)
  await ada.caller().tasks.stop({ id })
  await expect.poll(() => text.match(/event: return/g)?.length).toBe(2)
  expect(text.match(/HTTP\/1.1 200/g)).toHaveLength(2)
  socket.destroy()
})

it('the typed client follows a stream to its end', async () => {
  const client = createTRPCClient<AppRouter>({
    links: createLinks(connectClient({ url: `http://127.0.0.1:${port}`, token: ada.token })),
  })
  const events: unknown[] = []
  await new Promise<void>((resolve, reject) => {
    client.tasks.messages.stream.subscribe(
      { taskId: ended },
      { onData: event => events.push([event.id, event.data.kind]), onComplete: resolve, onError: reject },
    )
  })
  expect(events).toEqual([
    ['1', 'message'],
    ['2', 'message'],
    ['3', 'delta'],
    ['4', 'delta'],
    ['5', 'finished'],
  ])
})

describe('a reader that never reads', () => {
  it('is dropped, and costs no more than its buffer', async () => {
    const server = await serveHouse(house.services, { stallMs: 300 })
    const { tasks } = ada.caller()
    const { id: taskId } = await tasks.create({ prompt: 'x' })
    const path = streamPath('tasks.logs.stream', { taskId })
    const sockets = new Set<Socket>()
    server.app.fastify.server.on('connection', (socket: Socket) => sockets.add(socket))
    const deaf = connect(server.port, '127.0.0.1')
    deaf.on('error', () => {})
    deaf.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${ada.authorization}\r\n\r\n`)
    deaf.pause()
    const reader = readEvents({ port: server.port, path, authorization: ada.authorization })
    await reader.opened
    const unread = () => Math.max(...[...sockets].map(socket => socket.writableLength))
    const entries = Array.from({ length: 20 }, () => ({ type: 'info' as const, message: 'x'.repeat(50_000) }))
    let most = 0
    const rounds = 20
    for (let n = 0; n < rounds; n++) {
      await tasks.logs.append({ taskId, entries })
      most = Math.max(most, unread())
    }
    // What the system's own buffers took is not in our memory; a page is what may pass the limit.
    expect(most).toBeLessThan(1024 * 1024)
    await expect.poll(() => droppedOf(server.app.metrics), { timeout: 5_000 }).toBe(1)
    await expect.poll(() => [...sockets].filter(({ destroyed }) => !destroyed).length).toBe(1)
    await tasks.stop({ id: taskId })
    await reader.ended
    expect(reader.events.filter(({ event }) => event === 'message')).toHaveLength(rounds * 20)
    deaf.destroy()
    await server.close()
  })
})

async function droppedOf(metrics: { registry: { metrics(): Promise<string> } }): Promise<number> {
  const text = await metrics.registry.metrics()
  return Number(/^rowhouse_streams_dropped_total (\d+)/m.exec(text)?.[1])
}
