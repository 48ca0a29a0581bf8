import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_PLACE_LIMITS } from '#server/system/places.ts'
import { type Actor, createActor } from '#server/testing/actors.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import { ask, beginUpload, type MediaHouse, openMediaHouse, textFile } from '#server/testing/media.ts'
import { createAddresses, type UploadGrant } from './addresses.ts'

let house: MediaHouse
let ada: Actor
const addresses = createAddresses(TEST_AUTH_SECRET)

beforeAll(async () => {
  house = await openMediaHouse({ upload: { stallMs: 2_000 }, requestMs: 300 })
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())
afterEach(async () => {
  // After each test: an upload leaves its file, or nothing.
  await expect.poll(async () => (await house.files()).filter(file => file.startsWith('incoming'))).toEqual([])
})

const filesOf = async (id: string) => (await house.files()).filter(file => file.includes(id))

/** Creates an upload; returns its grant too, which tests change and sign again. */
async function begin(bytes = Buffer.from('hello'), fileName = 'note.txt') {
  const { media, uploadUrl, headers } = await beginUpload(ada, { ...textFile(), bytes, fileName })
  const token = uploadUrl.slice(uploadUrl.lastIndexOf('/') + 1)
  const grant = addresses.readUpload(token)
  if (!grant) throw new Error('the URL is not signed')
  return { id: media.id, url: uploadUrl, headers: { ...headers }, grant, token, bytes }
}

const downloadOf = ({ key, mimeType, expiresAt }: UploadGrant) =>
  addresses.signDownload({ key, mimeType, expiresAt, fileName: 'note.txt' })

const put = (url: string, headers: Record<string, string>, body: Uint8Array) =>
  ask(house, url, { method: 'PUT', headers, body })

/** Starts a raw request; resolves with the response once the connection closes. */
async function open(
  url: string,
  headers: Record<string, string>,
): Promise<{ socket: Socket; answer: Promise<string> }> {
  const socket = connect(house.port, '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  const answer = once(socket, 'close').then(() => text)
  const lines = Object.entries({ host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`PUT ${new URL(url).pathname} HTTP/1.1\r\n${lines.join('')}\r\n`)
  return { socket, answer }
}

describe('an upload', () => {
  it('needs its signed URL and no session', async () => {
    const { id, url, headers, bytes } = await begin()
    expect(await put(url, headers, bytes)).toMatchObject({ status: 204 })
    expect(await filesOf(id)).toEqual([`originals/${id}/note.txt`])
  })

  it('may exceed the size limit of other bodies', async () => {
    const { id, url, headers, bytes } = await begin(Buffer.alloc(5 * 1024 ** 2, 65))
    expect((await put(url, headers, bytes)).status).toBe(204)
    expect((await ada.caller().media.completeUpload({ id })).status).toBe('ready')
  })

  it('may take longer than other requests', async () => {
    const { id, url, headers, grant } = await begin()
    const { socket, answer } = await open(url, { ...headers, 'content-length': '5', connection: 'close' })
    const started = Date.now()
    for (const letter of 'hell') {
      socket.write(letter)
      await new Promise(resolve => setTimeout(resolve, 500))
    }
    expect(Date.now() - started).toBeGreaterThan(1_500)
    expect(await filesOf(id)).toEqual([])
    socket.write('o')
    expect(await answer).toMatch(/^HTTP\/1.1 204 /)
    expect(await filesOf(id)).toEqual([grant.key])
  })

  it('is stored once and whole if two are sent to one URL', async () => {
    const { id, url, headers } = await begin(Buffer.alloc(1024 ** 2))
    const bodies = ['a', 'b', 'c', 'd'].map(letter => Buffer.alloc(1024 ** 2, letter))
    const answers = await Promise.all(bodies.map(body => put(url, headers, body)))
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409, 409, 409])
    const winner = bodies[answers.findIndex(({ status }) => status === 204)]
    await ada.caller().media.completeUpload({ id })
    const { url: download } = await ada.caller().media.downloadUrl({ id })
    expect((await ask(house, download)).body.equals(winner ?? Buffer.alloc(0))).toBe(true)
  })

  it('does not replace a file, neither before nor after completion', async () => {
    const { id, url, headers, bytes } = await begin()
    expect((await put(url, headers, bytes)).status).toBe(204)
    expect((await put(url, headers, Buffer.from('other'))).status).toBe(409)
    await ada.caller().media.completeUpload({ id })
    expect((await put(url, headers, Buffer.from('other'))).status).toBe(409)
    const { url: download } = await ada.caller().media.downloadUrl({ id })
    expect((await ask(house, download)).body.toString()).toBe('hello')
  })
})

describe('an upload is rejected, and leaves nothing', () => {
  const changed = (grant: UploadGrant, change: Partial<UploadGrant>) =>
    `http://localhost:3000/media/uploads/${addresses.signUpload({ ...grant, ...change })}`

  it('without a signature, or with the signature of another grant', async () => {
    const { id, headers, bytes, token, grant } = await begin()
    const [body = '', signature = ''] = token.split('.')
    const forged = Buffer.from(JSON.stringify({ kind: 'upload', ...grant, sizeBytes: 6 })).toString(
      'base64url',
    )
    const download = downloadOf(grant)
    const others = createAddresses('another secret').signUpload(grant)
    const flipped = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`
    const tokens = [
      '',
      '.',
      'x',
      body,
      `${body}.`,
      `.${signature}`,
      `${forged}.${signature}`,
      `${body}.${flipped}`,
      `${token}.${signature}`,
      `${token}A`,
      download,
      others,
      `${'x'.repeat(10_000)}.${signature}`,
    ]
    for (const one of tokens) {
      const answer = await put(`http://localhost:3000/media/uploads/${one}`, headers, bytes)
      expect(answer.status, one).toBe(401)
    }
    expect(await filesOf(id)).toEqual([])
  })

  it('after its URL expired', async () => {
    const { id, headers, bytes, grant } = await begin()
    const answer = await put(changed(grant, { expiresAt: Date.now() - 1 }), headers, bytes)
    expect(answer.status).toBe(401)
    expect(await filesOf(id)).toEqual([])
  })

  it.each([
    ['of another type', { 'content-type': 'text/html' }, 5, 400],
    ['of no type', { 'content-type': '' }, 5, 415],
    ['with parameters that were not declared', { 'content-type': 'text/plain; charset=utf-8' }, 5, 400],
    ['that is too large', {}, 6, 413],
    ['that is far too large', {}, 20 * 1024 ** 2, 413],
    ['that is too small', {}, 4, 400],
  ])('%s', async (_name, change, length, status) => {
    const { id, url, headers } = await begin()
    // The connection may close while a far too large file is being sent.
    const answer = await put(url, { ...headers, ...change }, Buffer.alloc(length, 65)).catch(() => null)
    if (length < 8 * 1024 ** 2) expect(answer?.status).toBe(status)
    else expect([status, undefined]).toContain(answer?.status)
    expect(await filesOf(id)).toEqual([])
  })

  it('without a content-length', async () => {
    const { id, url, headers } = await begin()
    const { socket, answer } = await open(url, {
      ...headers,
      'transfer-encoding': 'chunked',
      connection: 'close',
    })
    socket.write('5\r\nhello\r\n0\r\n\r\n')
    expect(await answer).toMatch(/^HTTP\/1.1 400 /)
    expect(await filesOf(id)).toEqual([])
  })

  it('that is interrupted', async () => {
    const { id, url, headers } = await begin(Buffer.alloc(1024 ** 2))
    const { socket, answer } = await open(url, { ...headers, 'content-length': String(1024 ** 2) })
    socket.write(Buffer.alloc(300_000))
    await expect.poll(async () => (await house.files()).some(file => file.startsWith('incoming'))).toBe(true)
    socket.destroy()
    await answer
    expect(await filesOf(id)).toEqual([])
    expect((await put(url, headers, Buffer.alloc(1024 ** 2))).status).toBe(204)
  })

  it('whose sender stalls', async () => {
    const { id, url, headers } = await begin()
    const { socket, answer } = await open(url, { ...headers, 'content-length': '5' })
    socket.write('hel')
    expect(await answer).not.toMatch(/^HTTP\/1.1 2/)
    expect(await filesOf(id)).toEqual([])
  })

  it('of an item that was removed, has failed or was erased with its owner', async () => {
    const removed = await begin()
    await ada.caller().media.remove({ id: removed.id })
    expect((await put(removed.url, removed.headers, removed.bytes)).status).toBe(409)

    const failed = await begin()
    await house.owner.query(`update app.media_items set status = 'failed', error = 'late' where id = $1`, [
      failed.id,
    ])
    expect((await put(failed.url, failed.headers, failed.bytes)).status).toBe(409)

    const gone = await begin()
    await house.owner.query('delete from app.media_items where id = $1', [gone.id])
    expect((await put(gone.url, gone.headers, gone.bytes)).status).toBe(409)
    for (const { id } of [removed, failed, gone]) expect(await filesOf(id)).toEqual([])
  })

  it('by another method', async () => {
    const { id, url, headers, bytes } = await begin()
    for (const method of ['POST', 'PATCH', 'DELETE', 'GET']) {
      const body = method === 'GET' ? {} : { body: bytes }
      expect((await ask(house, url, { method, headers, ...body })).status).toBe(404)
    }
    expect(await filesOf(id)).toEqual([])
  })
})

describe('at a user’s limit of concurrent uploads', () => {
  it('an upload is rejected until another one of the user ends', async () => {
    const { places } = house.services
    const { url, headers, bytes, grant } = await begin()
    const held: (() => void)[] = []
    for (let n = 0; n < DEFAULT_PLACE_LIMITS.uploads; n++)
      held.push(await places.take('uploads', grant.userId))
    const refused = await put(url, headers, bytes)
    expect([refused.status, JSON.parse(refused.body.toString()).reason]).toEqual([429, 'rate_limited'])
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    held.pop()?.()
    expect((await put(url, headers, bytes)).status).toBe(204)
    for (const giveBack of held) giveBack()
  })
})

describe('at a process’s limit', () => {
  it('uploads and downloads are rejected as overloaded', async () => {
    const busy = await openMediaHouse({ upload: { maxAtOnce: 0 }, download: { maxAtOnce: 0 } })
    try {
      const { id, url, headers, bytes, grant } = await begin()
      const file = downloadOf(grant)
      for (const answer of [
        await ask(busy, url, { method: 'PUT', headers, body: bytes }),
        await ask(busy, `http://localhost:3000/media/files/${file}`),
      ]) {
        expect(answer.status).toBe(503)
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      }
      expect(await filesOf(id)).toEqual([])
    } finally {
      await busy.close()
    }
  })
})

describe('a request that is not an upload', () => {
  it('gets no extra time if its path looks like one', async () => {
    const { socket, answer } = await open('http://x/media/uploads/none', { 'content-length': '5' })
    socket.write('hel')
    const text = await answer
    expect(text).toMatch(/^HTTP\/1.1 401 /)
  })
})
