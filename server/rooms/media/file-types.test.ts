import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor } from '#server/testing/actors.ts'
import {
  ask,
  beginUpload,
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
import { contentDisposition } from './content-disposition.ts'
import { FILE_TYPES, type MediaType } from './file-types.ts'

let house: MediaHouse
let ada: Actor

beforeAll(async () => {
  house = await openMediaHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

/** Files as browsers and office suites declare them: kind, type, file name, and the stored type. */
const ANNOUNCED: readonly (readonly [MediaType, string, string, string])[] = [
  ['audio', 'audio/mp3', 'a.mp3', 'audio/mpeg'],
  ['audio', 'audio/x-wav', 'a.wav', 'audio/wav'],
  ['audio', 'audio/wave', 'a.wav', 'audio/wav'],
  ['audio', 'audio/x-m4a', 'a.m4a', 'audio/mp4'],
  ['audio', 'audio/m4a', 'a.m4a', 'audio/mp4'],
  ['audio', 'audio/aac', 'a.aac', 'audio/aac'],
  ['audio', 'audio/x-flac', 'a.flac', 'audio/flac'],
  ['audio', 'audio/webm;codecs=opus', 'a.webm', 'audio/webm'],
  ['audio', 'audio/ogg; codecs=opus', 'a.opus', 'audio/ogg'],
  ['video', 'video/x-m4v', 'a.m4v', 'video/mp4'],
  ['video', 'video/quicktime', 'a.mov', 'video/quicktime'],
  ['video', 'video/x-matroska', 'a.mkv', 'video/x-matroska'],
  ['video', 'video/x-matroska;codecs=avc1', 'a.mkv', 'video/x-matroska'],
  ['video', '', 'a.mkv', 'video/x-matroska'],
  ['image', 'image/jpg', 'a.jpg', 'image/jpeg'],
  ['image', 'image/pjpeg', 'a.jpg', 'image/jpeg'],
  ['image', 'image/x-png', 'a.png', 'image/png'],
  ['image', 'Image/PNG', 'a.png', 'image/png'],
  ['image', 'image/x-icon', 'favicon.ico', 'image/vnd.microsoft.icon'],
  ['image', 'image/vnd.microsoft.icon', 'favicon.ico', 'image/vnd.microsoft.icon'],
  ['image', 'image/heic', 'a.HEIC', 'image/heic'],
  ['image', 'image/heics', 'a.heics', 'image/heic'],
  ['image', 'image/heif', 'a.heif', 'image/heif'],
  ['image', 'image/avif', 'a.avif', 'image/avif'],
  ['image', '', 'IMG_0001.HEIC', 'image/heic'],
  ['document', 'application/x-zip-compressed', 'a.zip', 'application/zip'],
  ['document', 'application/csv', 'a.csv', 'text/csv'],
  ['document', 'text/x-csv', 'a.csv', 'text/csv'],
  ['document', 'TEXT/CSV; Charset=UTF-8', 'a.csv', 'text/csv'],
  ['document', ' text/csv ', 'a.csv', 'text/csv'],
  ['document', 'application/vnd.ms-excel', 'a.csv', 'text/csv'],
  ['document', 'application/vnd.ms-excel', 'a.xls', 'application/vnd.ms-excel'],
  ['document', 'text/markdown', 'a.md', 'text/markdown'],
  ['document', 'text/x-markdown', 'a.md', 'text/markdown'],
  ['document', 'application/octet-stream', 'README.md', 'text/markdown'],
  ['document', 'application/x-yaml', 'a.yaml', 'application/yaml'],
  ['document', 'application/x-pdf', 'a.pdf', 'application/pdf'],
  ['document', 'application/rtf', 'a.rtf', 'application/rtf'],
  ['document', 'text/rtf', 'a.rtf', 'application/rtf'],
  ['document', 'application/msword', 'a.doc', 'application/msword'],
  ['document', 'application/vnd.oasis.opendocument.text', 'a.odt', 'application/vnd.oasis.opendocument.text'],
]

it.each(ANNOUNCED)('%s %j of %s is stored as %s', async (mediaType, mimeType, fileName, kept) => {
  const announced = { title: 'a title', mediaType, mimeType, fileName, fileSizeBytes: 10 }
  const { media, headers } = await ada.caller().media.createUpload(announced)
  expect(media.mimeType).toBe(kept)
  expect(headers['content-type']).toBe(kept)
})

it.each([
  ['document', 'text/html', 'a.html'],
  ['document', '', 'a.html'],
  ['document', 'text/html', 'a.txt'],
  ['image', 'image/svg+xml', 'a.svg'],
  ['image', 'application/octet-stream', 'a.svg'],
  ['image', 'image/svg+xml; charset=utf-8', 'a.png'],
  ['image', 'video/mp4', 'a.mp4'],
  ['document', 'application/x-msdownload', 'a.exe'],
  ['document', '', 'no-ending'],
] as const)('%s %j of %s is rejected', async (mediaType, mimeType, fileName) => {
  const announced = { title: 'a title', mediaType, mimeType, fileName, fileSizeBytes: 10 }
  await expect(ada.caller().media.createUpload(announced)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
})

describe('the table of types', () => {
  it('has each name once, in a form that the database accepts', () => {
    const kept = FILE_TYPES.map(({ mimeType }) => mimeType)
    expect(new Set(kept).size).toBe(kept.length)
    for (const { mediaType, aliases = [] } of FILE_TYPES) {
      for (const alias of aliases) {
        const others = FILE_TYPES.filter(
          one => one.mediaType === mediaType && [one.mimeType, ...(one.aliases ?? [])].includes(alias),
        )
        expect([alias, others.length]).toEqual([alias, 1])
      }
    }
    for (const name of kept) expect(name).toMatch(/^[a-z]+\/[a-z0-9.+-]{1,100}$/)
  })

  it('lets browsers display images, audio and video, and nothing else', () => {
    const shown = FILE_TYPES.filter(type =>
      contentDisposition({ mimeType: type.mimeType, fileName: 'a' }).startsWith('inline'),
    )
    expect(shown.map(({ mimeType }) => mimeType)).toEqual(
      FILE_TYPES.flatMap(({ mimeType, mediaType }) => (mediaType === 'document' ? [] : mimeType)),
    )
    for (const mimeType of [
      'image/svg+xml',
      'text/html',
      'video/anything',
      'audio/x-unknown',
      'image/png+xml',
    ])
      expect(contentDisposition({ mimeType, fileName: 'a' })).toMatch(/^attachment;/)
  })
})

describe('a file', () => {
  const text = (mimeType: string, fileName: string, bytes: Uint8Array): SampleFile => ({
    mediaType: 'document',
    mimeType,
    fileName,
    bytes,
  })
  const utf16 = (content: string) => Buffer.from(`\ufeff${content}`, 'utf16le')
  const csv = 'BMI,größe\r\n21,5;1,80\r\n'

  it.each<[string, SampleFile]>([
    ['a CSV that starts like a bitmap', text('text/csv', 'a.csv', Buffer.from(csv))],
    ['a CSV that starts like a PDF', text('text/csv', 'a.csv', Buffer.from('%PDF-1.4,2\n'))],
    ['a text that starts like XML', text('text/plain', 'a.txt', Buffer.from('<?xml version="1.0"?><a/>'))],
    ['an Excel CSV in UTF-16', text('text/csv', 'a.csv', utf16(csv))],
    ['a CSV in big-endian UTF-16', text('text/csv', 'a.csv', utf16(csv).swap16())],
    ['a text in UTF-8 with a byte order mark', text('text/plain', 'a.txt', Buffer.from(`\ufeff${csv}`))],
    ['an Excel CSV in Windows-1252', text('text/csv', 'a.csv', Buffer.from(csv, 'latin1'))],
    ['a CSV that Windows declares as Excel', text('application/vnd.ms-excel', 'a.csv', Buffer.from(csv))],
    ['a CSV without a file extension', text('application/vnd.ms-excel', 'export', Buffer.from(csv))],
    ['YAML', text('application/x-yaml', 'a.yaml', Buffer.from('a: 1\n'))],
    ['RTF', text('text/rtf', 'a.rtf', Buffer.from('{\\rtf1\\ansi Hello}'))],
    [
      'a workbook of old Excel',
      text('application/vnd.ms-excel', 'a.xls', Buffer.from('d0cf11e0a1b11ae1', 'hex')),
    ],
    ['an archive', text('application/x-zip-compressed', 'a.zip', zipOf('a.txt', 'hello'))],
    ['a Word file, which is an archive', text(OFFICE, 'a.docx', zipOf('word/unusual.xml', '<a/>'))],
    ['PDF', { ...pdfFile(), mimeType: 'application/x-pdf' }],
    ['a WAV file', { ...wavFile(), mimeType: 'audio/x-wav' }],
    ['an Apple audio file', { ...m4a(), mimeType: 'audio/x-m4a' }],
    ['an Apple video', { ...mp4File(), bytes: branded('M4V '), mimeType: 'video/x-m4v' }],
    ['a phone’s photo', heic()],
    ['an icon', icon()],
  ])('is accepted: %s', async (_name, file) => {
    const media = await upload(ada, house, file)
    expect(media).toMatchObject({ status: 'ready', error: null })
  })

  it.each<[string, SampleFile]>([
    ['a picture', { ...textFile(), bytes: Buffer.from('GIF89a\0\0\0\0') }],
    ['invalid UTF-16', { ...textFile(), bytes: Buffer.concat([utf16('a'), Buffer.from([0, 0xd8, 97, 0])]) }],
    ['random bytes', { ...textFile(), bytes: Buffer.from([0xe4, 1, 2, 3, 0xe4]) }],
    [
      'a workbook that is an executable',
      text('application/vnd.ms-excel', 'a.xls', Buffer.from('MZ\x90\0\x03\0')),
    ],
    ['a Word file that is a picture', text(OFFICE, 'a.docx', Buffer.from('GIF89a\0\0\0\0'))],
  ])('is rejected as a text or document if it is %s', async (_name, file) => {
    expect(await upload(ada, house, file)).toMatchObject({ status: 'failed' })
  })

  it('may be uploaded under an alias of its type', async () => {
    const file = { ...m4a(), mimeType: 'audio/x-m4a' }
    const { uploadUrl } = await beginUpload(ada, file)
    const put = (type: string) =>
      ask(house, uploadUrl, { method: 'PUT', headers: { 'content-type': type }, body: file.bytes })
    expect((await put('audio/wav')).status).toBe(400)
    expect((await put('audio/x-m4a')).status).toBe(204)
  })

  it('that cannot be decoded is ready without a thumbnail', async () => {
    const media = await upload(ada, house, icon())
    expect(media).toMatchObject({ status: 'ready', width: null, height: null, thumbnailUrl: null })
    const { url } = await ada.caller().media.downloadUrl({ id: media.id })
    const { headers } = await ask(house, url)
    expect(headers['content-type']).toBe('image/vnd.microsoft.icon')
    expect(headers['content-disposition']).toMatch(/^inline;/)
  })

  it('that is an image gets a thumbnail under any alias of its type', async () => {
    const media = await upload(ada, house, { ...(await pngFile()), mimeType: 'image/x-png' })
    expect(media).toMatchObject({ mimeType: 'image/png', width: 800, thumbnailUrl: expect.any(String) })
  })
})

const OFFICE = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'

function branded(brand: string): Buffer {
  const bytes = Buffer.from(mp4File().bytes)
  bytes.write(brand, 8)
  return bytes
}

function m4a(): SampleFile {
  return { mediaType: 'audio', mimeType: 'audio/mp4', fileName: 'a.m4a', bytes: branded('M4A ') }
}

/** The header of a photo, which is enough to detect its type. */
function heic(): SampleFile {
  const bytes = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat', 'latin1')
  return { mediaType: 'image', mimeType: 'image/heic', fileName: 'IMG_1.HEIC', bytes }
}

function icon(): SampleFile {
  const bytes = Buffer.alloc(70)
  bytes.writeUInt16LE(1, 2)
  bytes.writeUInt16LE(1, 4)
  return { mediaType: 'image', mimeType: 'image/x-icon', fileName: 'favicon.ico', bytes }
}

/** An archive of one file. */
function zipOf(name: string, content: string): Buffer {
  const data = deflateRawSync(content)
  const head = Buffer.alloc(30)
  head.writeUInt32LE(0x04034b50)
  head.writeUInt16LE(20, 4)
  head.writeUInt16LE(8, 8)
  head.writeUInt32LE(data.length, 18)
  head.writeUInt32LE(content.length, 22)
  head.writeUInt16LE(name.length, 26)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  return Buffer.concat([head, Buffer.from(name), data, end])
}
