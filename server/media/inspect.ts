// What a file says of itself. The readers are loaded when the first file arrives, and are given no more of one than they need:
// what it says may be made up to keep them busy.

import { readAsBlob, type StoredFile } from './stored-blob.ts'
import { takeTurns } from './turns.ts'

const SNIFF_PAGES = 16
const METADATA_PAGES = 256
const TEXT_SAMPLE_BYTES = 64 * 1024

const MAX_PIXELS = 50_000_000
const THUMBNAIL_EDGE = 512
const IMAGE_TIMEOUT_SECONDS = 30
// Each may hold a whole picture in memory.
const inTurn = takeTurns(2)

/** Other names of types, as files are recognised, and what else a type may look like. */
const SEEN_AS: Readonly<Record<string, readonly string[]>> = {
  'image/png': ['image/apng'],
  'audio/mp4': ['audio/x-m4a', 'video/mp4'],
  'audio/webm': ['video/webm'],
  'video/mp4': ['video/x-m4v'],
  'video/x-matroska': ['video/matroska'],
}

/** Why the file is not of its declared type, in words for its owner; null where it is. */
export async function findTypeProblem(file: StoredFile): Promise<string | null> {
  const { fileTypeFromBlob } = await import('file-type')
  const found = await readAsBlob(file, SNIFF_PAGES, blob => fileTypeFromBlob(blob))
  const seen = found?.mime.split(';', 1)[0]
  if (file.mimeType.startsWith('text/')) {
    if (seen === undefined || seen.startsWith('text/') || seen === 'application/xml') {
      return (await isText(file)) ? null : `the file is no text, and ${file.mimeType} was announced`
    }
  } else if (seen === file.mimeType || (seen && SEEN_AS[file.mimeType]?.includes(seen))) return null
  return `the file is ${seen ?? 'of an unknown type'}, and ${file.mimeType} was announced`
}

async function isText({ sizeBytes, read }: StoredFile): Promise<boolean> {
  const sample = await read(0, Math.min(sizeBytes, TEXT_SAMPLE_BYTES))
  try {
    // A character that the sample cuts in two is no mistake.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(sample, { stream: true })
    return !text.includes('\0')
  } catch {
    return false
  }
}

export interface Dimensions {
  readonly width: number | null
  readonly height: number | null
  readonly durationSeconds: number | null
}

/** Duration and dimensions of audio or video, as far as they can be read without reading all of it. */
export async function readMetadata(file: StoredFile): Promise<Dimensions> {
  const { parseBlob } = await import('music-metadata')
  const parsed = await readAsBlob(file, METADATA_PAGES, blob => parseBlob(blob, { skipCovers: true }))
  const tracks = parsed?.format.trackInfo ?? []
  const video = tracks.find(track => track.video)?.video
  const longest = Math.max(...tracks.map(track => track.duration ?? 0))
  return {
    durationSeconds: positive(parsed?.format.duration ?? longest, 1e9),
    width: wholePixels(video?.pixelWidth),
    height: wholePixels(video?.pixelHeight),
  }
}

function positive(value: number | undefined, max: number): number | null {
  return value !== undefined && value > 0 && value <= max ? value : null
}

function wholePixels(value: number | undefined): number | null {
  const pixels = positive(value, 1_000_000)
  return pixels === null ? null : Math.max(1, Math.round(pixels))
}

export type Picture =
  | { readonly width: number; readonly height: number; readonly thumbnail: Uint8Array }
  | { readonly problem: string }

/** Dimensions of an image as it is shown, and a small WebP of it; or why it can't be read, in words for its owner. */
export async function readPicture(file: StoredFile): Promise<Picture> {
  return inTurn(async () => {
    const bytes = await file.read(0, file.sizeBytes)
    const sharp = await loadSharp()
    try {
      const { autoOrient, format } = await sharp(bytes, { limitInputPixels: false }).metadata()
      const { width, height } = autoOrient
      if (width * height > MAX_PIXELS) return { problem: `the image has more than ${MAX_PIXELS} pixels` }
      if (FORMATS[file.mimeType] !== format) return { problem: `the image is ${format}` }
      const thumbnail = await sharp(bytes, { limitInputPixels: MAX_PIXELS })
        .autoOrient()
        .resize({ width: THUMBNAIL_EDGE, height: THUMBNAIL_EDGE, fit: 'inside', withoutEnlargement: true })
        .webp({ quality: 80 })
        .timeout({ seconds: IMAGE_TIMEOUT_SECONDS })
        .toBuffer()
      return { width, height, thumbnail }
    } catch {
      return { problem: 'the image is broken, or not quite of its type' }
    }
  })
}

const FORMATS: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/avif': 'heif',
}

async function loadSharp() {
  const { default: sharp } = await import('sharp')
  // Of the many formats that it reads, those that may be uploaded.
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: ['Png', 'Jpeg', 'Webp', 'Nsgif', 'Heif'].map(format => `VipsForeignLoad${format}Buffer`),
  })
  sharp.cache(false)
  return sharp
}
