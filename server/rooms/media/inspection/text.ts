import type { StoredFile } from './stored-blob.ts'

const SAMPLE_BYTES = 64 * 1024

/** The marks of UTF-16, which Excel writes. UTF-8 is recognised without its mark. */
const BYTE_ORDER_MARKS = [
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
] as const

// White space, end of file and escape.
const CONTROLS_OF_TEXT: ReadonlySet<number> = new Set([9, 10, 11, 12, 13, 26, 27])

/**
 * Whether a file starts as text: UTF-8, UTF-16 with a byte order mark, or an older encoding such as
 * Windows-1252.
 */
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
    // `stream` accepts a character that the end of the sample cuts off.
    return !new TextDecoder(encoding, { fatal: true }).decode(sample, { stream: true }).includes('\0')
  } catch {
    return false
  }
}
