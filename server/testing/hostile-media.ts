// Files that are small to send and expensive to read.

import { crc32, deflateSync } from 'node:zlib'
import type { SampleFile } from './media.ts'

const mp3 = (bytes: Uint8Array): SampleFile => ({
  mediaType: 'audio',
  mimeType: 'audio/mpeg',
  fileName: 'a.mp3',
  bytes,
})

/** A frame of MPEG 1, layer III: 128 kbit/s, 44,100 Hz. */
function mpegFrame(): Buffer {
  const frame = Buffer.alloc(417)
  frame.writeUInt32BE(0xfffb9000)
  return frame
}

/** ID3v2.3 tags, each frame of which a reader may keep in a list. */
export function mp3OfFrames(frames: number, id = 'TPE1'): SampleFile {
  const one = Buffer.concat([Buffer.from(id), u32(2), Buffer.from([0, 0, 0, 65])])
  const tags = Buffer.concat(Array.from({ length: frames }, () => one))
  const head = Buffer.from([0x49, 0x44, 0x33, 3, 0, 0, ...syncsafe(tags.length)])
  return mp3(Buffer.concat([head, tags, ...Array.from({ length: 20 }, mpegFrame)]))
}

/** Bytes that each look like the beginning of a frame. */
export function mp3OfSyncBytes(sizeBytes: number): SampleFile {
  return mp3(Buffer.concat([mpegFrame(), mpegFrame(), Buffer.alloc(sizeBytes, 0xff)]))
}

/** Nested boxes. */
export function mp4OfDepth(depth: number): SampleFile {
  const bytes = Buffer.alloc(depth * 8)
  for (let level = 0; level < depth; level++) {
    bytes.writeUInt32BE((depth - level) * 8, level * 8)
    bytes.write('trak', level * 8 + 4)
  }
  return mp4(bytes)
}

/** Only empty boxes. */
export function mp4OfBoxes(count: number): SampleFile {
  const one = box('trak', box('tkhd', Buffer.alloc(0)))
  return mp4(Buffer.concat(Array.from({ length: count }, () => one)))
}

function mp4(movie: Buffer): SampleFile {
  const head = box('ftyp', Buffer.from('isom'), u32(512), Buffer.from('isomiso2avc1mp41'))
  return {
    mediaType: 'video',
    mimeType: 'video/mp4',
    fileName: 'a.mp4',
    bytes: Buffer.concat([head, box('moov', movie)]),
  }
}

/** A Matroska file of empty tracks in a segment, which may claim a larger size. */
export function matroskaOfElements(count: number, segmentBytes = count * 7): SampleFile {
  const head = Buffer.from('1a45dfa39f4286810142f7810142f2810442f381084282886d6174726f736b61', 'hex')
  const segment = Buffer.from(`1853806701${segmentBytes.toString(16).padStart(14, '0')}`, 'hex')
  const track = Buffer.from('1654ae6b82ae80', 'hex')
  return {
    mediaType: 'video',
    mimeType: 'video/x-matroska',
    fileName: 'a.mkv',
    bytes: Buffer.concat([head, segment, ...Array.from({ length: count }, () => track)]),
  }
}

/** Ogg pages with an empty segment each, after the head of a Vorbis stream. */
export function oggOfPages(count: number): SampleFile {
  const page = (type: number, payload: Buffer) =>
    Buffer.concat([
      Buffer.from('OggS'),
      Buffer.from([0, type]),
      Buffer.alloc(20),
      Buffer.from([1, payload.length]),
      payload,
    ])
  const vorbis = Buffer.concat([Buffer.from('\x01vorbis'), u32(0), Buffer.from([2]), Buffer.alloc(18, 1)])
  const empty = page(0, Buffer.alloc(0))
  return {
    mediaType: 'audio',
    mimeType: 'audio/ogg',
    fileName: 'a.ogg',
    bytes: Buffer.concat([page(2, vorbis), ...Array.from({ length: count }, () => empty)]),
  }
}

/** A FLAC file of only padding blocks. */
export function flacOfBlocks(count: number): SampleFile {
  const info = Buffer.concat([Buffer.from([0, 0, 0, 34]), Buffer.alloc(34, 1)])
  const padding = Buffer.from([1, 0, 0, 0])
  return {
    mediaType: 'audio',
    mimeType: 'audio/flac',
    fileName: 'a.flac',
    bytes: Buffer.concat([Buffer.from('fLaC'), info, ...Array.from({ length: count }, () => padding)]),
  }
}

/** A WAV file of empty chunks. */
export function wavOfChunks(count: number): SampleFile {
  const chunk = Buffer.from('LIST\0\0\0\0')
  const body = Buffer.concat([Buffer.from('WAVE'), ...Array.from({ length: count }, () => chunk)])
  const size = Buffer.alloc(4)
  size.writeUInt32LE(body.length)
  return {
    mediaType: 'audio',
    mimeType: 'audio/wav',
    fileName: 'a.wav',
    bytes: Buffer.concat([Buffer.from('RIFF'), size, body]),
  }
}

/**
 * A complete, valid PNG of one colour, with one bit per pixel: 50 million pixels are 6 MB before compression
 * and 6 kB after it.
 */
export function plainPng(width: number, height: number): SampleFile {
  const head = Buffer.concat([u32(width, height), Buffer.from([1, 0, 0, 0, 0])])
  const rows = Buffer.alloc((1 + Math.ceil(width / 8)) * height)
  return png(pngChunk('IHDR', head), pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND'))
}

/** A PNG with this many chunks of text, which a reader may inflate. */
export function pngOfTexts(count: number): SampleFile {
  const head = Buffer.concat([u32(1, 1), Buffer.from([1, 0, 0, 0, 0])])
  const text = pngChunk('zTXt', Buffer.concat([Buffer.from('a\0\0'), deflateSync(Buffer.alloc(1024 ** 2))]))
  const data = pngChunk('IDAT', deflateSync(Buffer.alloc(2)))
  return png(pngChunk('IHDR', head), ...Array.from({ length: count }, () => text), data, pngChunk('IEND'))
}

function png(...chunks: Buffer[]): SampleFile {
  const bytes = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...chunks])
  return { mediaType: 'image', mimeType: 'image/png', fileName: 'p.png', bytes }
}

function pngChunk(type: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  return Buffer.concat([u32(data.length), body, u32(crc32(body))])
}

/** A GIF with this many frames, each as large as the picture. */
export function gifOfFrames(count: number, side = 7_000): SampleFile {
  const size = Buffer.from([side & 255, side >> 8, side & 255, side >> 8])
  const frame = Buffer.concat([
    Buffer.from('2c00000000', 'hex'),
    size,
    // Two-bit codes that end at once: the rest of the frame is missing.
    Buffer.from('000202440100', 'hex'),
  ])
  return {
    mediaType: 'image',
    mimeType: 'image/gif',
    fileName: 'p.gif',
    bytes: Buffer.concat([
      Buffer.from('GIF89a'),
      size,
      Buffer.from([0x80, 0, 0, 0, 0, 0, 255, 255, 255]),
      ...Array.from({ length: count }, () => frame),
      Buffer.from([0x3b]),
    ]),
  }
}

/**
 * Entities of an SVG, each of which repeats the one before ten times; declared as a PNG, which its server
 * would decode.
 */
export function svgOfEntities(count: number): SampleFile {
  const entities = Array.from({ length: count }, (_, index) => {
    const before = `&e${index - 1};`
    return `<!ENTITY e${index} "${index === 0 ? 'lol' : before.repeat(10)}">`
  })
  const text = `<?xml version="1.0"?><!DOCTYPE svg [${entities.join('')}]><svg>&e${count - 1};</svg>`
  return { mediaType: 'image', mimeType: 'image/png', fileName: 'p.svg', bytes: Buffer.from(text) }
}

/** Directories of a TIFF that form a circle. */
export function tiffOfDirectories(count: number): SampleFile {
  const directories = Buffer.alloc(count * 18)
  for (let index = 0; index < count; index++) {
    directories.writeUInt16LE(1, index * 18)
    directories.writeUInt16LE(256, index * 18 + 2)
    directories.writeUInt32LE(index + 1 < count ? 8 + (index + 1) * 18 : 8, index * 18 + 14)
  }
  const head = Buffer.from('49492a0008000000', 'hex')
  return {
    mediaType: 'image',
    mimeType: 'image/png',
    fileName: 'p.tiff',
    bytes: Buffer.concat([head, directories]),
  }
}

function syncsafe(value: number): number[] {
  return [21, 14, 7, 0].map(shift => (value >> shift) & 127)
}

function box(type: string, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u32(body.length + 8), Buffer.from(type), body])
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4)
  })
  return bytes
}
