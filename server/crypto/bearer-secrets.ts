import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

// A prefix for the kind, 43 characters of secret and 6 of checksum, all URL-safe. The checksum detects a
// mistyped secret without a query, as in GitHub's tokens:
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/

/** API tokens and task leases. */
export type SecretPrefix = 'rht_' | 'rhl_'

const SECRET_BYTES = 32
const PATTERN = /^(rh[tl]_)([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{6})$/

export function createSecret(prefix: SecretPrefix): string {
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return `${prefix}${secret}${checksum(prefix, secret)}`
}

/** The prefix of a secret that could be genuine; null for anything else. */
export function genuinePrefix(text: string): SecretPrefix | null {
  const [, prefix, secret, sum] = PATTERN.exec(text) ?? []
  if (prefix === undefined || secret === undefined || sum !== checksum(prefix, secret)) return null
  return prefix as SecretPrefix
}

export function hasSecretPrefix(text: string): boolean {
  return text.startsWith('rht_') || text.startsWith('rhl_')
}

/** The credential that is sent with a statement: the kind of the secret and its SHA-256. */
export function credentialOf(secret: string, prefix: SecretPrefix): string {
  return `${prefix === 'rht_' ? 't' : 'l'}:${hash('sha256', secret, 'hex')}`
}

/** SHA-256 of the SHA-256 that is sent with a statement: the stored value. Neither hash signs anyone in. */
export function storedSecret(secret: string): Buffer {
  return hash('sha256', hash('sha256', secret, 'buffer'), 'buffer')
}

function checksum(prefix: string, secret: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(prefix + secret))
  return bytes.toString('base64url').padEnd(6, '0')
}
