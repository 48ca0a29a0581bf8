import { isUtf8 } from 'node:buffer'
import { AppError } from '#server/rpc/errors.ts'

// Decoders replace bytes that are not valid UTF-8 with U+FFFD: a caller's text would be stored changed, without an
// error.

/** A body as text, without its byte order mark. Throws `invalid_input` where it is not valid UTF-8. */
export function decodeBody(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new AppError('invalid_input', 'the body is not valid UTF-8')
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return bytes.toString('utf8', hasMark ? 3 : 0)
}

/** A header as text; null where its bytes are not valid UTF-8. Node gives each byte as one character. */
export function decodeHeader(value: string): string | null {
  const bytes = Buffer.from(value, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : null
}

const ENCODED_BYTES = /(?:%[89a-f][\da-f])+/gi

/** Throws `invalid_input` for an address whose query is not {@link isReadableQuery}. */
export function checkQuery(url: string): void {
  if (!isReadableQuery(url)) {
    throw new AppError('invalid_input', 'the query of the address is not percent-encoded UTF-8')
  }
}

/** Whether an address's query decodes to valid UTF-8. Node itself refuses bytes that are not percent-encoded. */
export function isReadableQuery(url: string): boolean {
  const question = url.indexOf('?')
  if (question === -1) return true
  const query = url.slice(question)
  return !query.match(ENCODED_BYTES)?.some(isNoText)
}

/** Percent-encoded bytes above ASCII: each run of them is text of its own. */
function isNoText(bytes: string): boolean {
  try {
    decodeURIComponent(bytes)
    return false
  } catch {
    return true
  }
}
