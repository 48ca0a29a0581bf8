import { randomUUID } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import { ask, beginUpload, type MediaHouse, openMediaHouse, textFile, upload } from '#server/testing/media.ts'

let house: MediaHouse
let ada: Actor

beforeAll(async () => {
  house = await openMediaHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

it.for([
  ['../../../escaped.txt', 'escaped.txt'],
  ['..\\..\\escaped.txt', 'escaped.txt'],
  ['/tmp/escaped.txt', 'escaped.txt'],
  ['.hidden', 'hidden'],
  ['..', 'file'],
])('an upload that calls itself %j is kept in its own folder', async ([name, kept]) => {
  const media = await upload(ada, house, { ...textFile(), fileName: name ?? '' })
  expect(media).toMatchObject({ status: 'ready', fileName: kept })
  expect(await readdir(join(house.directory, 'originals', media.id))).toEqual([kept])
  expect((await house.files()).filter(file => !/^originals\/[0-9a-f-]{36}\/[^/]+$/.test(file))).toEqual([])
})

it.for(['../x', 'a/b', 'a\\b', '.x', 'a\nb', ''])('the table takes no file name %j', async name => {
  const insert = house.owner.query(
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, 'x', 'document', 'text/plain', $2, 1)`,
    [ada.userId, name],
  )
  await expect(insert).rejects.toMatchObject({ constraint: 'media_items_file_name_check' })
})

it('the thumbnail of an image on its side stands as the image does', async () => {
  const bytes = await sharp({ create: { width: 40, height: 20, channels: 3, background: '#000' } })
    .jpeg()
    .withMetadata({ orientation: 6 })
    .toBuffer()
  const file = { mediaType: 'image', mimeType: 'image/jpeg', fileName: 'p.jpg', bytes } as const
  const { thumbnailUrl } = await upload(ada, house, file)
  const { body } = await ask(house, thumbnailUrl ?? '')
  expect(await sharp(body).metadata()).toMatchObject({ width: 20, height: 40 })
})

it('an upload is not taken for an item that was removed before its file came', async () => {
  const file = textFile()
  const { media, uploadUrl, headers } = await beginUpload(ada, file)
  await ada.caller().media.remove({ id: media.id })
  const answer = await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
  expect(answer.status).toBe(409)
  expect((await house.files()).filter(path => path.includes(media.id))).toEqual([])
})

it.for([3, 5])('the store keeps nothing of a body of %i bytes that was announced with 4', async sizeBytes => {
  const { media: store } = house.services
  if (store.kind !== 'disk') throw new Error('this house keeps files on a disk')
  const key = `originals/${randomUUID()}/a.txt`
  const body = Readable.from([Buffer.alloc(2), Buffer.alloc(sizeBytes - 2)])
  await expect(store.receive(body, { key, sizeBytes: 4 })).rejects.toMatchObject({
    reason: sizeBytes > 4 ? 'too_large' : 'invalid_input',
  })
  expect(await store.has(key)).toBe(false)
  expect((await house.files()).filter(path => path.startsWith('incoming'))).toEqual([])
})

it('what arrived in another size than announced fails, whatever let it in', async () => {
  const file = textFile()
  const { media } = await beginUpload(ada, file, { fileSizeBytes: file.bytes.length + 1 })
  const folder = join(house.directory, 'originals', media.id)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, media.fileName), file.bytes)
  const completed = await ada.caller().media.completeUpload({ id: media.id })
  expect(completed).toMatchObject({ status: 'failed' })
  expect(completed.error).toContain(`${file.bytes.length} bytes`)
})

it('text with NUL in it is no text', async () => {
  const file = { ...textFile(), bytes: Buffer.from('text\0text') }
  expect(await upload(ada, house, file)).toMatchObject({ status: 'failed' })
})
