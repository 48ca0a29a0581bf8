const MAX_BYTES = 150
const MAX_EXTENSION = 20
const FALLBACK = 'file'

/**
 * Returns a safe file name: the last part of the uploader's name, with only letters, digits and a few
 * punctuation marks, and never `.` or `..`. A name that is too long is cut before its extension.
 */
export function safeFileName(name: string): string {
  const last = name.normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const plain = last
    .replaceAll(/[^\p{L}\p{M}\p{N}._() -]/gu, '_')
    .replace(/^[. ]+/, '')
    .replace(/[. ]+$/, '')
  const extension = /\.[A-Za-z0-9]{1,19}$/.exec(plain)?.[0] ?? ''
  const stem = plain.slice(0, plain.length - extension.length)
  return shorten(stem, MAX_BYTES - MAX_EXTENSION).trimEnd() + extension || FALLBACK
}

function shorten(text: string, maxBytes: number): string {
  let bytes = 0
  let short = ''
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > maxBytes) break
    short += character
  }
  return short
}
