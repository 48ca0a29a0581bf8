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
])('an upload with the name %j is stored in its own directory', async ([name, kept]) => {
  const media = await upload(ada, house, { ...textFile(), fileName: name ?? '' })
  expect(media).toMatchObject({ status: 'ready', fileName: kept })
  expect(await readdir(join(house.directory, 'originals', media.id))).toEqual([kept])
  expect((await house.files()).filter(file => !/^originals\/[0-9a-f-]{36}\/[^/]+$/.test(file))).toEqual([])
})

it.for(['../x', 'a/b', 'a\\b', '.x', 'a\nb', ''])('the table rejects the file name %j', async name => {
  const insert = house.owner.query(
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, 'x', 'document', 'text/plain', $2, 1)`,
    [ada.userId, name],
  )
  await expect(insert).rejects.toMatchObject({ constraint: 'media_items_file_name_check' })
})

it('the thumbnail of a rotated image has the image’s orientation', async () => {
  const bytes = await sharp({ create: { width: 40, height: 20, channels: 3, background: '#000' } })
    .jpeg()
    .withMetadata({ orientation: 6 })
    .toBuffer()
  const file = { mediaType: 'image', mimeType: 'image/jpeg', fileName: 'p.jpg', bytes } as const
  const { thumbnailUrl } = await upload(ada, house, file)
  const { body } = await ask(house, thumbnailUrl ?? '')
  expect(await sharp(body).metadata()).toMatchObject({ width: 20, height: 40 })
})

it('an upload is rejected if its item was removed', async () => {
  const file = textFile()
  const { media, uploadUrl, headers } = await beginUpload(ada, file)
  await ada.caller().media.remove({ id: media.id })
  const answer = await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
  expect(answer.status).toBe(409)
  expect((await house.files()).filter(path => path.includes(media.id))).toEqual([])
})

it.for([3, 5])('the store keeps nothing of a body of %i bytes that was declared as 4', async sizeBytes => {
  const { media: store } = house.services
  if (store.kind !== 'disk') throw new Error('this test needs the disk store')
  const key = `originals/${randomUUID()}/a.txt`
  const body = Readable.from([Buffer.alloc(2), Buffer.alloc(sizeBytes - 2)])
  await expect(store.receive(body, { key, sizeBytes: 4 })).rejects.toMatchObject({
    reason: sizeBytes > 4 ? 'too_large' : 'invalid_input',
  })
  expect(await store.has(key)).toBe(false)
  expect((await house.files()).filter(path => path.startsWith('incoming'))).toEqual([])
})

it('a stored file of another size than declared fails, however it got there', async () => {
  const file = textFile()
  const { media } = await beginUpload(ada, file, { fileSizeBytes: file.bytes.length + 1 })
  const folder = join(house.directory, 'originals', media.id)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, media.fileName), file.bytes)
  const completed = await ada.caller().media.completeUpload({ id: media.id })
  expect(completed).toMatchObject({ status: 'failed' })
  expect(completed.error).toContain(`${file.bytes.length} bytes`)
})

it('a text that contains NUL is rejected', async () => {
  const file = { ...textFile(), bytes: Buffer.from('text\0text') }
  expect(await upload(ada, house, file)).toMatchObject({ status: 'failed' })
})
