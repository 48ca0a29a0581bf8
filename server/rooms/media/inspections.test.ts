import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'

import {
  ask,
  beginUpload,
  callsInFlight,
  type MediaHouse,
  openMediaHouse,
  pngFile,
  type SampleFile,
  textFile,
} from '#server/testing/media.ts'
import { createInspections } from './inspection/inspections.ts'

/** The limit for one user over all processes: migrations/0031_media.sql. */
const MAX_OF_USER = 32

let house: MediaHouse
let ada: Actor
let release: (() => void) | undefined

beforeAll(async () => {
  house = await openMediaHouse()
})
beforeEach(async () => {
  ada = await createActor(house, { name: 'Ada' })
})
afterEach(() => release?.())
afterAll(() => house.close())

/** Creates an item with an uploaded file that is not completed. */
async function uploadFile(file: SampleFile = textFile(), actor = ada): Promise<string> {
  const { media, uploadUrl, headers } = await beginUpload(actor, file)
  const answer = await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
  if (answer.status !== 204) throw new Error(`the upload failed with ${answer.status}: ${answer.body}`)
  return media.id
}

async function uploadFiles(count: number): Promise<string[]> {
  const ids: string[] = []
  while (ids.length < count) ids.push(await uploadFile())
  return ids
}

/** Blocks all reads of the store until it is released, so that inspections keep running. */
function holdStore(): void {
  const store = house.services.media
  const { read } = store
  const held = Promise.withResolvers<void>()
  Object.assign(store, { read: (...args: Parameters<typeof read>) => held.promise.then(() => read(...args)) })
  release = () => {
    Object.assign(store, { read })
    held.resolve()
  }
}

const statusOf = async (id: string, actor = ada) => (await actor.caller().media.get({ id })).status
const countOf = async (status: string, actor = ada) =>
  (await actor.caller().media.list({ status: status as 'ready', limit: 100 })).items.length

/** Inserts items whose inspection another process started this long ago. */
function insertInspected(count: number, age: string) {
  return house.owner.query(
    `insert into app.media_items
       (user_id, title, media_type, mime_type, file_name, file_size_bytes, status, uploaded_at, updated_at)
     select $1, 'x', 'document', 'text/plain', 'x.txt', 1, 'processing', now(), now() - $3::interval
     from generate_series(1, $2)`,
    [ada.userId, count, age],
  )
}

const RATE_LIMITED = { cause: { reason: 'rate_limited', details: { retryAt: expect.any(Date) } } }

/** Completes over HTTP, on a connection that the test can close. */
async function complete(id: string, actor = ada) {
  const socket = connect(house.port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  const body = JSON.stringify({ json: { id } })
  const head = `POST /trpc/media.completeUpload HTTP/1.1\r\nhost: x\r\nauthorization: ${actor.authorization}\r\n`
  socket.write(
    `${head}content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  )
  let text = ''
  socket.on('data', chunk => {
    text += chunk
  })
  const answer = once(socket, 'close').then(() => text)
  return { socket, answer }
}

describe('files that are being inspected', () => {
  it(`are limited to ${MAX_OF_USER} for one user, not counting other users' files`, async () => {
    const bob = await createActor(house, { name: 'Bob' })
    const ids = await uploadFiles(MAX_OF_USER + 8)
    const his = await uploadFile(textFile(), bob)
    holdStore()
    const calls = ids.map(id => ada.caller().media.completeUpload({ id }))
    const outcomes = Promise.allSettled(calls)
    await expect.poll(() => countOf('uploading')).toBe(8)
    await expect
      .poll(async () => (await countOf('uploaded')) + (await countOf('processing')))
      .toBe(MAX_OF_USER)
    const completed = bob.caller().media.completeUpload({ id: his })
    await expect.poll(() => statusOf(his, bob)).toBe('processing')
    release?.()
    expect(await completed).toMatchObject({ status: 'ready' })
    const refused = (await outcomes).filter(outcome => outcome.status === 'rejected')
    expect(refused).toHaveLength(8)
    for (const { reason } of refused) expect(reason).toMatchObject(RATE_LIMITED)

    const left = (await ada.caller().media.list({ status: 'uploading' })).items
    for (const { id } of left) {
      expect(await ada.caller().media.completeUpload({ id })).toMatchObject({ status: 'ready' })
    }
  })

  it('of a process that died count for five minutes', async () => {
    const id = await uploadFile()
    await insertInspected(MAX_OF_USER, '6 minutes')
    expect(await ada.caller().media.completeUpload({ id })).toMatchObject({ status: 'ready' })
    const other = await uploadFile()
    await insertInspected(MAX_OF_USER, '4 minutes')
    await expect(ada.caller().media.completeUpload({ id: other })).rejects.toMatchObject(RATE_LIMITED)
    expect(await statusOf(other)).toBe('uploading')
  })

  it('are counted one by one: of two concurrent ones, the second sees the first', async () => {
    const [first = '', second = ''] = await uploadFiles(2)
    await insertInspected(MAX_OF_USER - 1, '1 minute')
    const other = await house.owner.connect()
    try {
      await other.query('begin')
      await other.query("update app.media_items set status = 'uploaded', uploaded_at = now() where id = $1", [
        first,
      ])
      const call = ada.caller().media.completeUpload({ id: second })
      const outcome = call.then(
        () => 'completed',
        (error: unknown) => error,
      )
      await expect
        .poll(async () => {
          const { rows } = await house.owner.query(
            `select from pg_locks join pg_stat_activity using (pid)
             where not granted and datname = current_database()`,
          )
          return rows.length > 0 || (await statusOf(second)) !== 'uploading'
        })
        .toBe(true)
      await other.query('commit')
      expect(await outcome).toMatchObject(RATE_LIMITED)
    } finally {
      await other.query('rollback')
      other.release()
    }
  })

  it('use no capacity of other calls', async () => {
    const ids = await uploadFiles(6)
    holdStore()
    const answers = await Promise.all(ids.map(id => complete(id)))
    await expect.poll(async () => (await countOf('uploaded')) + (await countOf('processing'))).toBe(6)
    await expect.poll(() => callsInFlight(house)).toBe(0)
    release?.()
    for (const { answer } of answers) expect(await answer).toMatch(/^HTTP\/1.1 200 /)
    expect(await countOf('ready')).toBe(6)
    expect(await callsInFlight(house)).toBe(0)
  })

  it('are open for completion again if their caller leaves, queued or running', async () => {
    const ids = await uploadFiles(3)
    holdStore()
    const calls = await Promise.all(ids.map(id => complete(id)))
    await expect.poll(() => countOf('uploading')).toBe(0)
    for (const { socket } of calls) socket.destroy()
    await expect.poll(() => countOf('uploading')).toBe(3)
    release?.()
    for (const id of ids) {
      expect(await ada.caller().media.completeUpload({ id })).toMatchObject({ status: 'ready' })
    }
  })
})

it('a full queue rejects with overloaded, and the item can be completed later', async () => {
  const busy = await openMediaHouse({
    inspections: createInspections({ queue: { atOnce: 1, maxWaiting: 0 } }),
  })
  try {
    const actor = await createActor(busy, { name: 'Eve' })
    const held = Promise.withResolvers<void>()
    const { read } = busy.services.media
    Object.assign(busy.services.media, {
      read: (...args: Parameters<typeof read>) => held.promise.then(() => read(...args)),
    })
    const file = textFile()
    const ids = await Promise.all(
      [1, 2].map(async () => {
        const { media, uploadUrl, headers } = await beginUpload(actor, file)
        await ask(busy, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
        return media.id
      }),
    )
    const [first = '', second = ''] = ids
    const running = actor.caller().media.completeUpload({ id: first })
    await expect.poll(() => statusOf(first, actor)).toBe('processing')
    await expect(actor.caller().media.completeUpload({ id: second })).rejects.toMatchObject({
      cause: { reason: 'overloaded', details: { retryAt: expect.any(Date) } },
    })
    expect(await statusOf(second, actor)).toBe('uploading')
    held.resolve()
    expect(await running).toMatchObject({ status: 'ready' })
    expect(await actor.caller().media.completeUpload({ id: second })).toMatchObject({ status: 'ready' })
  } finally {
    await busy.close()
  }
})

it('a file that exceeds an inspection limit fails with that limit, and is deleted', async () => {
  const strict = await openMediaHouse({
    inspections: createInspections({ limits: { memoryBytes: 1024 ** 2 } }),
  })
  try {
    const actor = await createActor(strict, { name: 'Eve' })
    const file = await pngFile(4_000, 4_000)
    const { media, uploadUrl, headers } = await beginUpload(actor, file)
    await ask(strict, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    const completed = await actor.caller().media.completeUpload({ id: media.id })
    expect(completed).toMatchObject({ status: 'failed' })
    expect(completed.error).toMatch(/^inspecting the file takes more than 1 MiB of memory/)
    expect((await strict.files()).filter(path => path.includes(media.id))).toEqual([])
  } finally {
    await strict.close()
  }
})
