import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

// rht_ + 43 characters of secret + 6 of checksum, all URL-safe. The checksum tells a mistyped token from a wrong one without
// asking the database, as GitHub's tokens do:
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
const PREFIX = 'rht_'
const SECRET_BYTES = 32
const PATTERN = /^rht_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/

/** How much of a token is shown in lists. */
const SHOWN_CHARS = 10

export function createApiToken(): string {
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return `${PREFIX}${secret}${checksum(secret)}`
}

export function isApiToken(text: string): boolean {
  const match = PATTERN.exec(text)
  return match?.[1] !== undefined && match[2] === checksum(match[1])
}

export function hasApiTokenPrefix(text: string): boolean {
  return text.startsWith(PREFIX)
}

/** The part of a token that may be shown. */
export function shownPrefix(token: string): string {
  return token.slice(0, SHOWN_CHARS)
}

/** SHA-256 of the SHA-256 that travels with a statement: what the database keeps. Neither signs anyone in. */
export function storedApiToken(token: string): Buffer {
  return hash('sha256', hash('sha256', token, 'buffer'), 'buffer')
}

function checksum(secret: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(PREFIX + secret))
  return bytes.toString('base64url').padEnd(6, '0')
}
