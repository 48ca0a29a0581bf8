import { once } from 'node:events'
import type { FileHandle } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createActor } from '#server/testing/actors.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { ask, type MediaHouse, openMediaHouse, textFile, upload } from '#server/testing/media.ts'
import { registerDownloadRoute } from './download-route.ts'

// A server that serves one download at a time, with a store that opens files slowly.

let house: MediaHouse
let server: Awaited<ReturnType<typeof serveHouse>>
let url: string
let gate: PromiseWithResolvers<void>
let opened: (FileHandle | null)[]
let opening = 0

beforeAll(async () => {
  house = await openMediaHouse()
  const ada = await createActor(house, { name: 'Ada' })
  const { id } = await upload(ada, house, textFile('letters'))
  url = (await ada.caller().media.downloadUrl({ id })).url
  const { media: store } = house.services
  if (store.kind !== 'disk') throw new Error('this test needs the disk store')
  const open = async (key: string) => {
    opening++
    await gate.promise
    const file = await store.open(key)
    opened.push(file)
    return file
  }
  server = await serveHouse(house.services, {
    addRoutes: app => registerDownloadRoute(app, { ...store, open }, { maxAtOnce: 1 }),
  })
})
afterAll(async () => {
  await server.close()
  await house.close()
})
beforeEach(() => {
  gate = Promise.withResolvers()
  opened = []
  opening = 0
})

const isOpening = () => expect.poll(() => opening).toBe(1)

describe('a download that is being opened', () => {
  it('counts as a running download', async () => {
    const first = ask(server, url)
    await isOpening()
    expect((await ask(server, url)).status).toBe(503)
    gate.resolve()
    expect((await first).body.toString()).toBe('letters')
  })

  it('stops counting, and its file is closed, when its reader leaves', async () => {
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`GET ${new URL(url).pathname} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await isOpening()
    socket.destroy()
    const connections = () =>
      new Promise((resolve, reject) => {
        server.app.fastify.server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
      })
    await expect.poll(connections).toBe(0)
    gate.resolve()
    await expect.poll(() => opened.map(file => file?.fd)).toEqual([-1])
    await expect.poll(async () => (await ask(server, url)).status).toBe(200)
  })
})
