// What a file says of itself. Runs in a process of its own: what a file says may be made up to keep its readers busy. They are loaded
// when the first file arrives, and are given no more of one than they need.

import { findFileType, isNameOf } from '../file-types.ts'
import type { InspectedFile, Inspection } from './protocol.ts'
import { readAsBlob, type StoredFile } from './stored-blob.ts'
import { isText } from './text.ts'

const SNIFF_PAGES = 16
const METADATA_PAGES = 256

const MAX_PIXELS = 50_000_000
/** As much as a JPEG may have. */
const MAX_SIDE = 65_535
const THUMBNAIL_EDGE = 512

/** Calls `onRecognised` once the file is of its declared type. */
export async function inspect(
  file: InspectedFile & StoredFile,
  onRecognised: () => void,
): Promise<Inspection> {
  const problem = await findTypeProblem(file)
  if (problem !== null) return { problem }
  onRecognised()
  if (file.mediaType === 'image') return readPicture(file)
  return file.mediaType === 'document' ? NOTHING_KNOWN : readMetadata(file)
}

const NOTHING_KNOWN = { width: null, height: null, durationSeconds: null, thumbnail: null }

/** Why the file is not of its declared type, in words for its owner; null where it is. */
async function findTypeProblem(file: StoredFile): Promise<string | null> {
  const type = findFileType(file.mimeType)
  // First: a text may begin as another file does.
  if (type?.isText && (await isText(file))) return null
  const { fileTypeFromBlob } = await import('file-type')
  const found = await readAsBlob(file, SNIFF_PAGES, blob => fileTypeFromBlob(blob))
  const seen = found?.mime.split(';', 1)[0]
  if (type && type.isText !== true && seen && (isNameOf(type, seen) || type.seenAs?.includes(seen)))
    return null
  const what = seen ?? (type?.isText ? 'no text' : 'of an unknown type')
  return `the file is ${what}, and ${file.mimeType} was announced`
}

/** Duration and dimensions of audio or video, as far as they can be read without reading all of it. */
async function readMetadata(file: StoredFile): Promise<Inspection> {
  const { parseBlob } = await import('music-metadata')
  const parsed = await readAsBlob(file, METADATA_PAGES, blob => parseBlob(blob, { skipCovers: true }))
  const tracks = parsed?.format.trackInfo ?? []
  const video = tracks.find(track => track.video)?.video
  const longest = Math.max(...tracks.map(track => track.duration ?? 0))
  return {
    ...NOTHING_KNOWN,
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

/** Dimensions of an image as it is shown, and a small WebP of it. */
async function readPicture(file: StoredFile): Promise<Inspection> {
  const bytes = await file.read(0, file.sizeBytes)
  const sharp = await loadSharp()
  // What a picture takes is bounded here, by what its head says, and by the limits of this process where that is a lie.
  const open = () => sharp(bytes, { limitInputPixels: false })
  const isDecoded = findFileType(file.mimeType)?.isDecoded ?? false
  try {
    const { autoOrient } = await open().metadata()
    const { width, height } = autoOrient
    if (Math.max(width, height) > MAX_SIDE)
      return { problem: `the image has a side of more than ${MAX_SIDE} pixels` }
    if (width * height > MAX_PIXELS) return { problem: `the image has more than ${MAX_PIXELS} pixels` }
    if (!isDecoded) return { ...NOTHING_KNOWN, width, height }
    const thumbnail = await open()
      .autoOrient()
      .resize({ width: THUMBNAIL_EDGE, height: THUMBNAIL_EDGE, fit: 'inside', withoutEnlargement: true })
      .webp({ quality: 80 })
      .toBuffer()
    return { ...NOTHING_KNOWN, width, height, thumbnail }
  } catch {
    if (!isDecoded) return NOTHING_KNOWN
    return { problem: 'the image is broken, or not quite of its type' }
  }
}

/** The library of images, which reads no other formats than those that may be uploaded. */
export async function loadSharp() {
  const { default: sharp } = await import('sharp')
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({
    operation: ['Png', 'Jpeg', 'Webp', 'Nsgif', 'Heif'].map(format => `VipsForeignLoad${format}Buffer`),
  })
  sharp.cache(false)
  sharp.concurrency(1)
  return sharp
}
