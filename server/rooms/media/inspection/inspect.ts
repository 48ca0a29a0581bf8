// Reads the type, dimensions and duration of a file. Runs in a child process, because a file may be crafted
// to keep a parser busy. Loads each parser on first use, and reads no more of the file than the parser needs.

import { findFileType, isNameOf } from '../file-types.ts'
import type { InspectedFile, Inspection } from './protocol.ts'
import { readAsBlob, type StoredFile } from './stored-blob.ts'
import { isText } from './text.ts'

const SNIFF_PAGES = 16
const METADATA_PAGES = 256

const MAX_PIXELS = 50_000_000
/** The maximum of the JPEG format. */
const MAX_SIDE = 65_535
const THUMBNAIL_EDGE = 512

/** Calls `onRecognised` once the file's content matches its declared type. */
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

/** Explains to the owner why the content does not match the declared type; null if it does. */
async function findTypeProblem(file: StoredFile): Promise<string | null> {
  const type = findFileType(file.mimeType)
  // Checked first, because a text may start with the signature of another format.
  if (type?.isText && (await isText(file))) return null
  const { fileTypeFromBlob } = await import('file-type')
  const found = await readAsBlob(file, SNIFF_PAGES, blob => fileTypeFromBlob(blob))
  const seen = found?.mime.split(';', 1)[0]
  if (type && type.isText !== true && seen && (isNameOf(type, seen) || type.seenAs?.includes(seen)))
    return null
  const what = seen ?? (type?.isText ? 'not text' : 'of an unknown type')
  return `the file is ${what}, but ${file.mimeType} was declared`
}

/** Duration and dimensions of audio or video, if they can be read without reading the whole file. */
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

/** The displayed dimensions of an image, and a WebP thumbnail. */
async function readPicture(file: StoredFile): Promise<Inspection> {
  const bytes = await file.read(0, file.sizeBytes)
  const sharp = await loadSharp()
  // The checks below limit the memory by the header's dimensions; if the header lies, this process's own
  // limits apply.
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
    return { problem: 'the image is corrupt or does not match its declared type' }
  }
}

/** Loads sharp with only the decoders of the image types that may be uploaded. */
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
