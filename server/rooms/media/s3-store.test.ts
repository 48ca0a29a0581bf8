import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse, PASSWORD } from '#server/testing/actors.ts'
import { beginUpload, mp4File, pngFile, type SampleFile, textFile, wavFile } from '#server/testing/media.ts'
import { type S3Server, startS3Server } from '#server/testing/s3-server.ts'
import { openS3Store } from './s3-store.ts'
import { sweepMedia } from './sweep.ts'

// An S3 server in this process. Its signed URLs come from the SDK and are used as a browser would use them.

let server: S3Server
let house: House
let ada: Actor

beforeAll(async () => {
  server = await startS3Server()
  house = await openHouse({ media: openStore({}) })
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(async () => {
  await house.close()
  await server.close()
})

function openStore(change: { endpoint?: string; secretAccessKey?: string }) {
  const { endpoint, bucket, accessKeyId, secretAccessKey } = server
  const region = 'us-east-1'
  return openS3Store({ kind: 's3', endpoint, bucket, region, accessKeyId, secretAccessKey, ...change })
}

/** The keys of an item in the bucket. */
async function keysOf(id: string): Promise<string[]> {
  return (await server.keys()).filter(key => key.includes(id))
}

async function put(file: SampleFile, change: { body?: Uint8Array; headers?: Record<string, string> } = {}) {
  const { media, uploadUrl, method, headers } = await beginUpload(ada, file)
  const body = Buffer.from(change.body ?? file.bytes)
  const { status } = await fetch(uploadUrl, { method, headers: { ...headers, ...change.headers }, body })
  return { id: media.id, uploadUrl, status }
}

async function upload(file: SampleFile) {
  const { id, status } = await put(file)
  expect(status).toBe(200)
  return ada.caller().media.completeUpload({ id })
}

describe('a bucket', () => {
  it('stores an image and its thumbnail', async () => {
    const file = await pngFile(1600, 400)
    const media = await upload(file)
    expect(media).toMatchObject({ status: 'ready', width: 1600, height: 400 })
    const { url, expiresAt } = await ada.caller().media.downloadUrl({ id: media.id })
    expect(expiresAt.getTime()).toBeGreaterThan(Date.now() + 50 * 60_000)
    const answer = await fetch(url)
    expect(Buffer.from(await answer.arrayBuffer()).equals(file.bytes)).toBe(true)
    expect(answer.headers.get('content-type')).toBe('image/png')
    expect(answer.headers.get('content-disposition')).toMatch(/^inline; filename="a picture.png"/)
    const thumbnail = await fetch(media.thumbnailUrl ?? '')
    expect(await sharp(await thumbnail.arrayBuffer()).metadata()).toMatchObject({
      format: 'webp',
      width: 512,
    })
  })

  it('stores audio, video and documents, which are inspected in ranges', async () => {
    expect(await upload(wavFile(200))).toMatchObject({ status: 'ready', durationSeconds: 200 })
    expect(await upload(mp4File())).toMatchObject({ status: 'ready', width: 320, height: 240 })
    const text = await upload({ ...textFile(), fileName: 'Grüße (1).txt' })
    expect(text.status).toBe('ready')
    const { url } = await ada.caller().media.downloadUrl({ id: text.id })
    const answer = await fetch(url, { headers: { range: 'bytes=0-1' } })
    expect(answer.status).toBe(206)
    expect(await answer.text()).toBe('Gr')
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment; /)
  })

  it('rejects a file of another size or type than declared', async () => {
    const file = textFile('hello')
    const changes: { body?: Uint8Array; headers?: Record<string, string> }[] = [
      { body: Buffer.from('hell') },
      { body: Buffer.from('hello!') },
      { headers: { 'content-type': 'text/html' } },
      { headers: { 'if-none-match': '"x"' } },
    ]
    for (const change of changes) {
      const { id, status } = await put(file, change)
      expect(status, JSON.stringify(change)).toBe(403)
      expect(await keysOf(id)).toEqual([])
    }
  })

  it('rejects an upload to a changed URL', async () => {
    const { media, uploadUrl, headers } = await beginUpload(ada, textFile('hello'))
    const other = uploadUrl.replace(media.id, ada.userId)
    const unsigned = uploadUrl.replace(/X-Amz-Signature=\w{8}/, 'X-Amz-Signature=00000000')
    for (const url of [other, unsigned]) {
      expect((await fetch(url, { method: 'PUT', headers: { ...headers }, body: 'hello' })).status).toBe(403)
    }
    await expect(ada.caller().media.completeUpload({ id: media.id })).rejects.toMatchObject({
      cause: { reason: 'illegal_transition' },
    })
  })

  it('does not overwrite a file', async () => {
    const file = textFile('hello')
    const { id, uploadUrl, status } = await put(file)
    expect(status).toBe(200)
    const headers = { 'content-type': 'text/plain', 'if-none-match': '*' }
    expect((await fetch(uploadUrl, { method: 'PUT', headers, body: 'other' })).status).toBe(412)
    await ada.caller().media.completeUpload({ id })
    const { url } = await ada.caller().media.downloadUrl({ id })
    expect(await (await fetch(url)).text()).toBe('hello')
  })

  it('no longer has a file that did not match its declared type', async () => {
    const media = await upload({ ...(await pngFile()), bytes: Buffer.from('<script>alert(1)</script>') })
    expect(media).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('image/png was declared'),
    })
    expect(await keysOf(media.id)).toEqual([])
  })

  it('no longer has the files of a removed user', async () => {
    const bob = await createActor(house, { name: 'Bob' })
    const file = await pngFile(10, 10)
    const { media, uploadUrl, headers } = await beginUpload(bob, file)
    await fetch(uploadUrl, { method: 'PUT', headers: { ...headers }, body: Buffer.from(file.bytes) })
    await bob.caller().media.completeUpload({ id: media.id })
    expect(await keysOf(media.id)).toHaveLength(2)
    await bob.caller().account.remove({ password: PASSWORD })
    await sweepMedia(house.services)
    expect(await keysOf(media.id)).toEqual([])
  })
})

describe('a bucket that does not answer', () => {
  it.each([
    ['because its endpoint is down', { endpoint: 'http://127.0.0.1:1' }],
    ['because the secret key is wrong', { secretAccessKey: 'another' }],
  ])('%s leaves the upload open', async (_name, change) => {
    const { id } = await put(textFile())
    const { media: working } = house.services
    Object.assign(house.services, { media: openStore(change) })
    try {
      await expect(ada.caller().media.completeUpload({ id })).rejects.toMatchObject({
        code: 'BAD_GATEWAY',
        cause: { reason: 'provider_unreachable' },
      })
    } finally {
      Object.assign(house.services, { media: working })
    }
    expect((await ada.caller().media.completeUpload({ id })).status).toBe('ready')
  })
})
