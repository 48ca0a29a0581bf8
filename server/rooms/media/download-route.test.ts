import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import {
  ask,
  type MediaHouse,
  mp4File,
  openMediaHouse,
  pdfFile,
  pngFile,
  textFile,
  upload,
  wavFile,
} from '#server/testing/media.ts'
import { createAddresses } from './addresses.ts'
import { readRange } from './ranges.ts'

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

let house: MediaHouse
let ada: Actor
let url: string

beforeAll(async () => {
  house = await openMediaHouse({ download: { stallMs: 500 } })
  ada = await createActor(house, { name: 'Ada' })
  const { id } = await upload(ada, house, textFile(LETTERS))
  url = (await ada.caller().media.downloadUrl({ id })).url
})
afterAll(() => house.close())

describe('a download', () => {
  it('returns the whole file, and only the headers for HEAD', async () => {
    const answer = await ask(house, url)
    expect(answer.status).toBe(200)
    expect(answer.body.toString()).toBe(LETTERS)
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain',
      'content-length': '26',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cache-control': 'private, no-store',
      'content-disposition': `attachment; filename="note.txt"; filename*=UTF-8''note.txt`,
    })
    const head = await ask(house, url, { method: 'HEAD' })
    expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) })
    expect(head.headers).toMatchObject({ 'content-length': '26', etag: answer.headers.etag })
  })

  it.each([
    ['bytes=0-4', 206, 'abcde', 'bytes 0-4/26'],
    ['bytes=20-', 206, 'uvwxyz', 'bytes 20-25/26'],
    ['bytes=-3', 206, 'xyz', 'bytes 23-25/26'],
    ['bytes=25-999', 206, 'z', 'bytes 25-25/26'],
    ['bytes=-999', 206, LETTERS, 'bytes 0-25/26'],
    ['bytes=26-', 416, '', 'bytes */26'],
    ['bytes=-0', 416, '', 'bytes */26'],
    ['bytes=0-1,3-4', 200, LETTERS, undefined],
    ['bytes=5-2', 200, LETTERS, undefined],
    ['bytes=-', 200, LETTERS, undefined],
    ['lines=1-2', 200, LETTERS, undefined],
    ['bytes=99999999999999999999-', 200, LETTERS, undefined],
  ])('of the range %s has status %i', async (range, status, body, contentRange) => {
    const answer = await ask(house, url, { headers: { range } })
    expect(answer.status).toBe(status)
    expect(answer.body.toString()).toBe(body)
    expect(answer.headers['content-range']).toBe(contentRange)
  })

  it('in ranges returns the whole file', async () => {
    const parts = await Promise.all(
      [0, 10, 20].map(start => ask(house, url, { headers: { range: `bytes=${start}-${start + 9}` } })),
    )
    expect(parts.map(({ body }) => body.toString()).join('')).toBe(LETTERS)
  })

  it('returns 304 to a reader that has the file, and no range of another version', async () => {
    const etag = String((await ask(house, url)).headers.etag)
    expect(await ask(house, url, { headers: { 'if-none-match': etag } })).toMatchObject({ status: 304 })
    expect(await ask(house, url, { headers: { 'if-none-match': '"x"' } })).toMatchObject({ status: 200 })
    const range = { range: 'bytes=0-1' }
    expect(await ask(house, url, { headers: { ...range, 'if-range': etag } })).toMatchObject({ status: 206 })
    expect(await ask(house, url, { headers: { ...range, 'if-range': '"x"' } })).toMatchObject({ status: 200 })
  })

  it('is displayed for images, audio and video, and saved for everything else', async () => {
    const kinds = []
    for (const file of [await pngFile(), wavFile(), mp4File(), pdfFile(), textFile()]) {
      const { id } = await upload(ada, house, { ...file, fileName: 'Grüße "1".bin' })
      const answer = await ask(house, (await ada.caller().media.downloadUrl({ id })).url, { method: 'HEAD' })
      kinds.push(answer.headers['content-disposition'])
    }
    const names = `filename="Gr__e _1_.bin"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20_1_.bin`
    expect(kinds).toEqual([
      ...['inline', 'inline', 'inline'].map(kind => `${kind}; ${names}`),
      ...['attachment', 'attachment'].map(kind => `${kind}; ${names}`),
    ])
  })

  it('requires a valid signed URL that has not expired', async () => {
    const addresses = createAddresses(TEST_AUTH_SECRET)
    const grant = addresses.readDownload(url.slice(url.lastIndexOf('/') + 1))
    if (!grant) throw new Error('the URL is not signed')
    const { key, mimeType, expiresAt } = grant
    const tokens = {
      late: addresses.signDownload({ ...grant, expiresAt: Date.now() - 1 }),
      foreign: createAddresses('another secret').signDownload(grant),
      upload: addresses.signUpload({
        key,
        mimeType,
        expiresAt,
        userId: ada.userId,
        mediaId: ada.userId,
        sizeBytes: 26,
      }),
      none: '',
    }
    for (const [name, token] of Object.entries(tokens)) {
      const answer = await ask(house, `http://localhost:3000/media/files/${token}`)
      expect(answer.status, name).toBe(401)
    }
    const missing = addresses.signDownload({ ...grant, key: `originals/${ada.userId}/none` })
    expect((await ask(house, `http://localhost:3000/media/files/${missing}`)).status).toBe(404)
  })

  it('is disconnected if its reader stalls', async () => {
    const { id } = await upload(ada, house, textFile('x'.repeat(20 * 1024 ** 2)))
    const path = new URL((await ada.caller().media.downloadUrl({ id })).url).pathname
    const socket = connect(house.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await once(socket, 'readable')
    await expect.poll(() => house.connections(), { timeout: 5_000 }).toBe(0)
    socket.destroy()
  })
})

it('ranges work in a file larger than 4 GiB', () => {
  const size = 5 * 1024 ** 3
  expect(readRange(`bytes=${size - 2}-`, size)).toEqual({ start: size - 2, end: size - 1 })
})
