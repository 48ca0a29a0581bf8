import type { StoredFile } from './stored-blob.ts'

const SAMPLE_BYTES = 64 * 1024

/** Of UTF-16, which Excel writes; a text in UTF-8 is known without. */
const BYTE_ORDER_MARKS = [
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
] as const

// White space, end of file and escape.
const CONTROLS_OF_TEXT: ReadonlySet<number> = new Set([9, 10, 11, 12, 13, 26, 27])

/** Whether a file begins as text: in UTF-8, in UTF-16 with its mark, or in an older encoding such as Windows-1252. */
export async function isText({ sizeBytes, read }: StoredFile): Promise<boolean> {
  const sample = await read(0, Math.min(sizeBytes, SAMPLE_BYTES))
  const encoding = BYTE_ORDER_MARKS.find(({ mark }) =>
    mark.every((byte, index) => sample[index] === byte),
  )?.encoding
  if (isWhole(sample, encoding ?? 'utf-8')) return true
  return encoding === undefined && sample.every(isTextByte)
}

function isTextByte(byte: number): boolean {
  return byte >= 32 || CONTROLS_OF_TEXT.has(byte)
}

function isWhole(sample: Uint8Array, encoding: string): boolean {
  try {
    // A character that the sample cuts in two is no mistake.
    return !new TextDecoder(encoding, { fatal: true }).decode(sample, { stream: true }).includes('\0')
  } catch {
    return false
  }
}
