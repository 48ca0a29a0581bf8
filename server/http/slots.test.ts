import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { NO_PROVIDERS, NO_WEBHOOK_SECRETS } from '#server/app/config/providers.ts'
import { addLogs, exportTokenOf } from '#server/rooms/account/export-fixture.ts'
import { registerExportRoute } from '#server/rooms/account/export-route.ts'
import { type Actor, createActor } from '#server/testing/actors.ts'
import {
  ask,
  beginUpload,
  callsInFlight,
  type MediaHouse,
  openMediaHouse,
  textFile,
  upload,
} from '#server/testing/media.ts'
import { registerWebhookRoute } from '#server/webhooks/route.ts'

// Every way in which a call ends badly, and what it leaves in rowhouse_calls_in_flight.

const LARGE = 32 * 1024 ** 2

let house: MediaHouse
let ada: Actor
let large: string
const sockets: Socket[] = []
const givenUp = Promise.withResolvers<void>()

beforeAll(async () => {
  house = await openMediaHouse({
    addRoutes: (app, services) => {
      registerExportRoute(app, services)
      registerWebhookRoute(app, {
        system: services.pools.system,
        providers: NO_PROVIDERS,
        secrets: NO_WEBHOOK_SECRETS,
        keepSecret: () => Promise.reject(new Error('no provider sets its webhooks up here')),
        onEvents: () => {},
      })
      app.get('/given-up', async (_request, reply) => {
        givenUp.resolve()
        return reply.hijack()
      })
      app.get('/broken', async () => {
        throw new Error('broken')
      })
      app.get('/large', async () => Buffer.alloc(LARGE))
    },
  })
  ada = await createActor(house, { name: 'Ada' })
  const { id } = await upload(ada, house, { ...textFile(), bytes: Buffer.alloc(LARGE, 65) })
  large = new URL((await ada.caller().media.downloadUrl({ id })).url).pathname
  await addLogs(ada, 20_000, 'x'.repeat(1_000))
})
afterEach(async () => {
  await expect.poll(() => callsInFlight(house)).toBe(0)
  for (const socket of sockets.splice(0)) socket.destroy()
  await expect.poll(() => callsInFlight(house)).toBe(0)
})
afterAll(() => house.close())

/** Sends a request by hand on a connection of its own, and reads nothing of the answer. */
async function open(line: string, headers: Record<string, string> = {}, body: string | Uint8Array = '') {
  const socket = connect(house.port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  const lines = Object.entries({ host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`${line} HTTP/1.1\r\n${lines.join('')}\r\n`)
  socket.write(body)
  return socket
}

/** The same, until the server has begun to answer; then the client leaves. */
async function openAndLeave(...args: Parameters<typeof open>) {
  const socket = await open(...args)
  socket.once('data', () => socket.destroy())
  await once(socket, 'close')
}

const json = (path: string, body: string, headers: Record<string, string> = {}) =>
  open(
    `POST ${path}`,
    { 'content-type': 'application/json', 'content-length': String(body.length), ...headers },
    body,
  )

describe('no capacity is left taken by', () => {
  it('an upload that breaks off', async () => {
    const { uploadUrl, headers } = await beginUpload(ada, textFile(), { fileSizeBytes: LARGE })
    const line = `PUT ${new URL(uploadUrl).pathname}`
    const socket = await open(line, { ...headers, 'content-length': String(LARGE) }, Buffer.alloc(100_000))
    await expect.poll(() => callsInFlight(house)).toBe(1)
    socket.destroy()
  })

  it('an upload that is refused, though its body never comes', async () => {
    const { uploadUrl, headers } = await beginUpload(ada, textFile())
    for (const path of [new URL(uploadUrl).pathname, '/media/uploads/forged']) {
      await once(await open(`PUT ${path}`, { ...headers, 'content-length': String(LARGE) }), 'data')
    }
  })

  it('an upload that the disk refuses, whose sender goes on, leaves or waits', async () => {
    await rm(join(house.directory, 'incoming'), { recursive: true })
    await mkdir(house.directory, { recursive: true })
    await writeFile(join(house.directory, 'incoming'), 'a file')
    try {
      for (let count = 0; count < 3; count++) {
        const { uploadUrl, headers } = await beginUpload(ada, textFile(), { fileSizeBytes: LARGE })
        const line = `PUT ${new URL(uploadUrl).pathname}`
        const body = Buffer.alloc(count * 1_000_000)
        const socket = await open(line, { ...headers, 'content-length': String(LARGE) }, body)
        const [answer] = await once(socket, 'data')
        expect(answer.toString()).toMatch(/^HTTP\/1.1 500 /)
        if (count === 1) socket.destroy()
      }
    } finally {
      await rm(join(house.directory, 'incoming'))
    }
  })

  it('a download whose reader leaves, or whose file is gone', async () => {
    await openAndLeave(`GET ${large}`)
    const { id } = await upload(ada, house, textFile())
    const { url } = await ada.caller().media.downloadUrl({ id })
    await rm(join(house.directory, 'originals', id), { recursive: true })
    expect((await ask(house, url)).status).toBe(404)
    await once(await open('GET /media/files/forged'), 'data')
  })

  it('an export whose reader leaves, or whose address is forged', async () => {
    await openAndLeave(`GET /media/exports/${await exportTokenOf(ada)}`)
    await once(await open('GET /media/exports/forged'), 'data')
  })

  it('webhooks of nobody, without a signature, or that break off', async () => {
    for (const provider of ['github', 'nobody']) await once(await json(`/webhooks/${provider}`, '{}'), 'data')
    const socket = await json('/webhooks/github', '{', { 'content-length': '100' })
    socket.destroy()
  })

  it('calls that fail, that are not there, or whose caller leaves', async () => {
    const { authorization } = ada
    for (const path of ['tasks.get', 'tasks.list,tasks.get,nothing', 'nothing']) {
      const line = `GET /trpc/${path}${path.includes(',') ? '?batch=1' : ''}`
      await once(await open(line, { authorization }), 'data')
    }
    for (const type of ['multipart/form-data; boundary=x', 'application/octet-stream', 'text/plain']) {
      const headers = { authorization, 'content-type': type }
      await once(await json('/trpc/tasks.create', 'x', headers), 'data')
    }
    await once(await json('/trpc/tasks.create', '{', { authorization }), 'data')
    await openAndLeave('GET /trpc/tasks.list?batch=1', { authorization, 'trpc-accept': 'application/jsonl' })
    const slow = await json('/trpc/tasks.create', '{', { authorization, 'content-length': '100' })
    slow.destroy()
  })

  it('a stream that is refused, or whose reader leaves', async () => {
    const { id } = await ada.caller().tasks.create({ prompt: 'x' })
    const input = (taskId: string) => encodeURIComponent(JSON.stringify({ json: { taskId } }))
    const { authorization } = ada
    await openAndLeave(`GET /trpc/tasks.logs.stream?input=${input(id)}`, { authorization })
    await openAndLeave(`GET /trpc/tasks.logs.stream?input=${input(ada.userId)}`, { authorization })
    await once(await open(`GET /trpc/tasks.logs.stream?input=${input(id)}`, { authorization }), 'data')
  })

  it('a handler that throws, or that gives its answer up and keeps the connection', async () => {
    await open('GET /given-up')
    await givenUp.promise
    for (const path of ['/broken', '/nowhere']) await once(await open(`GET ${path}`), 'data')
  })

  it('a large answer that its client does not read', async () => {
    const socket = await open('GET /large')
    socket.pause()
    await expect.poll(() => socket.bytesRead).toBeGreaterThan(0)
  })
})
