import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import { plainPng } from '#server/testing/hostile-media.ts'
import {
  type MediaHouse,
  mp4File,
  openMediaHouse,
  pdfFile,
  pngFile,
  type SampleFile,
  textFile,
  upload,
  wavFile,
} from '#server/testing/media.ts'

let house: MediaHouse
let ada: Actor

beforeAll(async () => {
  house = await openMediaHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

describe('a file that does not match its declaration fails and is deleted', () => {
  const html = Buffer.from('<!doctype html><script>alert(1)</script>')
  const png = (bytes: Uint8Array): SampleFile => ({
    mediaType: 'image',
    mimeType: 'image/png',
    fileName: 'p.png',
    bytes,
  })

  it.each([
    ['HTML as an image', () => png(html), /^the file is of an unknown type, but image\/png was declared$/],
    [
      'an image as a video',
      async () => ({ ...mp4File(), bytes: (await pngFile()).bytes }),
      /^the file is image\/png, but video\/mp4 was declared$/,
    ],
    [
      'an image as a document',
      async () => ({ ...pdfFile(), bytes: (await pngFile()).bytes }),
      /^the file is image\/png, but application\/pdf was declared$/,
    ],
    [
      'an image as text',
      async () => ({ ...textFile(), bytes: (await pngFile()).bytes }),
      /^the file is image\/png, but text\/plain was declared$/,
    ],
    [
      'binary data as text',
      () => ({ ...textFile(), bytes: Buffer.from([65, 0xff, 0xfe, 0, 66]) }),
      /^the file is not text, but text\/plain was declared$/,
    ],
    [
      'a PNG as a JPEG',
      async () => ({ ...(await pngFile()), mimeType: 'image/jpeg' }),
      /^the file is image\/png, but image\/jpeg was declared$/,
    ],
    [
      'unknown data as audio',
      () => ({ ...wavFile(), bytes: Buffer.alloc(5_000, 7) }),
      /^the file is of an unknown type, but audio\/wav was declared$/,
    ],
    ['half an image', async () => png((await pngFile()).bytes.subarray(0, 1_000)), /^the image is corrupt/],
    [
      'an image of too many pixels',
      () => plainPng(10_000, 5_001),
      /^the image has more than 50000000 pixels$/,
    ],
    [
      'an image that is too wide',
      () => plainPng(65_536, 1),
      /^the image has a side of more than 65535 pixels$/,
    ],
    [
      'an image that is too tall',
      () => plainPng(1, 65_536),
      /^the image has a side of more than 65535 pixels$/,
    ],
  ])('%s', async (_name, makeFile, error) => {
    const media = await upload(ada, house, await makeFile())
    expect(media).toMatchObject({ status: 'failed', thumbnailUrl: null, error: expect.stringMatching(error) })
    expect((await house.files()).filter(file => file.includes(media.id))).toEqual([])
    const { rows } = await house.owner.query(
      'select from app.file_removals where strpos(storage_key, $1) > 0 and repeat_at > now()',
      [media.id],
    )
    expect(rows).toHaveLength(2)
    await expect(ada.caller().media.downloadUrl({ id: media.id })).rejects.toMatchObject({
      cause: { reason: 'illegal_transition' },
    })
  })

  it.each([
    [10_000, 5_000],
    [65_535, 1],
    [1, 65_535],
  ])('but not an image of %i by %i pixels', async (width, height) => {
    const media = await upload(ada, house, plainPng(width, height))
    expect(media).toMatchObject({ status: 'ready', error: null, width, height })
  })
})
