import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Reason } from '#server/rpc/errors.ts'
import { type Actor, createActor } from '#server/testing/actors.ts'
import {
  ask,
  beginUpload,
  type MediaHouse,
  mp4File,
  openMediaHouse,
  pdfFile,
  pngFile,
  textFile,
  upload,
  wavFile,
} from '#server/testing/media.ts'

let house: MediaHouse
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openMediaHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

const refusal = (reason: Reason) => ({ cause: { reason } })

async function download(actor: Actor, id: string) {
  const { url } = await actor.caller().media.downloadUrl({ id })
  return ask(house, url)
}

describe('a file', () => {
  it('that is an image gets its dimensions and a thumbnail', async () => {
    const file = await pngFile(1600, 400)
    const media = await upload(ada, house, file)
    expect(media).toMatchObject({ status: 'ready', error: null, width: 1600, height: 400 })
    expect(media).toMatchObject({ fileName: 'a picture.png', fileSizeBytes: file.bytes.length })
    expect(media.uploadedAt).toBeInstanceOf(Date)

    const answer = await download(ada, media.id)
    expect(answer.status).toBe(200)
    expect(answer.body.equals(file.bytes)).toBe(true)

    const thumbnail = await ask(house, media.thumbnailUrl ?? '')
    expect(thumbnail.headers['content-type']).toBe('image/webp')
    expect(await sharp(thumbnail.body).metadata()).toMatchObject({ format: 'webp', width: 512, height: 128 })
  })

  it('that is a rotated image gets its displayed dimensions', async () => {
    const bytes = await sharp({ create: { width: 40, height: 20, channels: 3, background: '#000' } })
      .jpeg()
      .withExif({ IFD0: { Orientation: '6' } })
      .withMetadata({ orientation: 6 })
      .toBuffer()
    const file = { mediaType: 'image', mimeType: 'image/jpeg', fileName: 'p.jpg', bytes } as const
    expect(await upload(ada, house, file)).toMatchObject({ status: 'ready', width: 20, height: 40 })
  })

  it.each(['jpeg', 'webp', 'gif', 'avif'] as const)('may be an image of type %s', async format => {
    const bytes = await sharp({ create: { width: 30, height: 20, channels: 3, background: '#123456' } })
      .toFormat(format)
      .toBuffer()
    const file = { mediaType: 'image', mimeType: `image/${format}`, fileName: `p.${format}`, bytes } as const
    expect(await upload(ada, house, file)).toMatchObject({ status: 'ready', width: 30, height: 20 })
  })

  it('that is audio gets its duration', async () => {
    expect(await upload(ada, house, wavFile(2))).toMatchObject({
      status: 'ready',
      durationSeconds: 2,
      width: null,
      thumbnailUrl: null,
    })
  })

  it('that is video gets its duration and dimensions', async () => {
    const media = await upload(ada, house, mp4File())
    expect(media).toMatchObject({ status: 'ready', durationSeconds: 5, width: 320, height: 240 })
  })

  it.each([textFile(), pdfFile()])('may be a document, $mimeType', async file => {
    const media = await upload(ada, house, file)
    expect(media.status).toBe('ready')
    expect((await download(ada, media.id)).body.equals(file.bytes)).toBe(true)
  })

  it('is not readable by other users of the machine', async () => {
    const media = await upload(ada, house, textFile())
    const path = join(house.directory, 'originals', media.id)
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await stat(join(path, 'note.txt'))).mode & 0o777).toBe(0o600)
  })
})

describe('completing', () => {
  it('is rejected before the file was uploaded, and succeeds afterwards', async () => {
    const file = textFile()
    const { media, uploadUrl, headers } = await beginUpload(ada, file)
    await expect(ada.caller().media.completeUpload({ id: media.id })).rejects.toMatchObject(
      refusal('illegal_transition'),
    )
    expect((await ada.caller().media.get({ id: media.id })).status).toBe('uploading')
    await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    expect((await ada.caller().media.completeUpload({ id: media.id })).status).toBe('ready')
  })

  it('many times at once succeeds only once', async () => {
    const file = await pngFile()
    const { media, uploadUrl, headers } = await beginUpload(ada, file)
    await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => ada.caller().media.completeUpload({ id: media.id })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(refusal('illegal_transition'))
    }
    expect((await ada.caller().media.get({ id: media.id })).status).toBe('ready')
  })

  it('a second time is rejected', async () => {
    const { id } = await upload(ada, house, textFile())
    await expect(ada.caller().media.completeUpload({ id })).rejects.toMatchObject(
      refusal('illegal_transition'),
    )
  })

  it('leaves the upload open if the store does not answer', async () => {
    const file = textFile()
    const { media, uploadUrl, headers } = await beginUpload(ada, file)
    await ask(house, uploadUrl, { method: 'PUT', headers: { ...headers }, body: file.bytes })
    const store = house.services.media
    const { read } = store
    Object.assign(store, { read: () => Promise.reject(new Error('the disk is gone')) })
    try {
      await expect(ada.caller().media.completeUpload({ id: media.id })).rejects.toThrow()
    } finally {
      Object.assign(store, { read })
    }
    expect(await ada.caller().media.get({ id: media.id })).toMatchObject({
      status: 'uploading',
      uploadedAt: null,
    })
    expect((await ada.caller().media.completeUpload({ id: media.id })).status).toBe('ready')
  })
})

describe('an item', () => {
  it('is listed newest first, page by page, and filtered', async () => {
    const actor = await createActor(house, { name: 'Lister' })
    const text = await upload(actor, house, textFile())
    const audio = await upload(actor, house, wavFile())
    const { media: waiting } = await beginUpload(actor, textFile())
    const ids = async (input: Parameters<ReturnType<Actor['caller']>['media']['list']>[0]) =>
      (await actor.caller().media.list(input)).items.map(item => item.id)
    expect(await ids(undefined)).toEqual([waiting.id, audio.id, text.id])
    expect(await ids({ mediaType: 'audio' })).toEqual([audio.id])
    expect(await ids({ status: 'uploading' })).toEqual([waiting.id])
    const first = await actor.caller().media.list({ limit: 2 })
    expect(first.nextCursor).toBe(audio.id)
    expect(await ids({ limit: 2, cursor: audio.id })).toEqual([text.id])
  })

  it('can change its title and description', async () => {
    const { id } = await upload(ada, house, textFile())
    const changed = await ada.caller().media.update({ id, title: 'another', description: 'a note' })
    expect(changed).toMatchObject({ title: 'another', description: 'a note', status: 'ready' })
    expect(await ada.caller().media.update({ id, description: null })).toMatchObject({
      title: 'another',
      description: null,
    })
  })

  it('that was removed is hidden, keeps its file and can be restored with it', async () => {
    const file = await pngFile()
    const { id } = await upload(ada, house, file)
    expect((await ada.caller().media.remove({ id })).deletedAt).toBeInstanceOf(Date)
    for (const call of ['get', 'downloadUrl', 'remove', 'update', 'completeUpload'] as const) {
      await expect(ada.caller().media[call]({ id })).rejects.toMatchObject(refusal('not_found'))
    }
    expect((await ada.caller().media.list({})).items.map(item => item.id)).not.toContain(id)
    const [removed] = (await ada.caller().media.list({ deleted: 'only' })).items
    expect(removed).toMatchObject({ id, thumbnailUrl: null })
    expect(await ada.caller().media.restore({ id })).toMatchObject({ status: 'ready', deletedAt: null })
    expect((await download(ada, id)).body.equals(file.bytes)).toBe(true)
    await expect(ada.caller().media.restore({ id })).rejects.toMatchObject(refusal('illegal_transition'))
  })

  it('of another user is not found', async () => {
    const { id } = await upload(ada, house, textFile())
    for (const call of ['get', 'downloadUrl', 'remove', 'update', 'completeUpload', 'restore'] as const) {
      await expect(bob.caller().media[call]({ id })).rejects.toMatchObject(refusal('not_found'))
    }
  })
})

describe('an upload is not created', () => {
  const announced = {
    title: 'a title',
    mediaType: 'image',
    mimeType: 'image/png',
    fileSizeBytes: 10,
    fileName: 'p.png',
  } as const

  it.each([
    ['with a type that is not allowed', { mimeType: 'image/svg+xml' }],
    ['with a type of another kind', { mimeType: 'video/mp4' }],
    ['with a size of zero', { fileSizeBytes: 0 }],
    ['with a fractional size', { fileSizeBytes: 1.5 }],
    ['with a size above the limit', { fileSizeBytes: 50 * 1024 ** 2 + 1 }],
    ['without a title', { title: ' ' }],
    ['with NUL in its name', { fileName: 'a\0.png' }],
    ['with half a surrogate pair in its name', { fileName: 'a\ud800.png' }],
    ['without a name', { fileName: '' }],
  ])('%s', async (_name, change) => {
    await expect(ada.caller().media.createUpload({ ...announced, ...change })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    })
  })

  it('but its type may be written in capitals', async () => {
    const { media } = await ada.caller().media.createUpload({ ...announced, mimeType: 'Image/PNG' })
    expect(media.mimeType).toBe('image/png')
  })
})
