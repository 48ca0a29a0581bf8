import { randomBytes } from 'node:crypto'

let lastMs = 0
let counter = 0

/**
 * A UUIDv7 like those of `app.new_id()`, for a row whose id must be known before the insert. Ids of one
 * process ascend, even if its clock goes back (RFC 9562, section 6.2, method 1).
 */
export function newId(now = Date.now()): string {
  const bytes = randomBytes(16)
  if (now > lastMs) {
    lastMs = now
    // The highest bit stays free, so that a millisecond has room for at least two thousand ids.
    counter = bytes.readUInt16BE(6) & 0x7ff
  } else if (++counter > 0xfff) {
    lastMs += 1
    counter = 0
  }
  bytes.writeUIntBE(lastMs, 0, 6)
  bytes.writeUInt16BE(0x7000 | counter, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
