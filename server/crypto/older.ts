// Decrypts values of other systems, for programs that import them. They are not bound to a row, and one
// format is not authenticated: `open` never accepts them, and a column of app.envelope can not hold them. See
// docs/decisions/015.

import { createDecipheriv, pbkdf2Sync } from 'node:crypto'
import { isHexKey, type Keyring } from './keyring.ts'

/** No key of the keyring decrypts the value in any known format. The error contains nothing of the value. */
export class UnknownFormatError extends Error {
  override readonly name = 'UnknownFormatError'
}

/** The layout of a value in base64 of AES-256-GCM under a passphrase, and the derivation of its key. */
interface GcmLayout {
  readonly saltBytes: number
  readonly ivBytes: number
  readonly digest: 'sha256' | 'sha512'
  readonly iterations: number
  readonly isTagFirst: boolean
}

const GCM_LAYOUTS: readonly GcmLayout[] = Object.freeze([
  { saltBytes: 16, ivBytes: 12, digest: 'sha256', iterations: 100_000, isTagFirst: false },
  { saltBytes: 64, ivBytes: 16, digest: 'sha512', iterations: 100_000, isTagFirst: true },
])

const CBC_PAIR = /^([0-9a-f]{32}):((?:[0-9a-f]{32})+)$/i
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/
const TAG_BYTES = 16

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decrypts a value of an older system with any key of the keyring. Takes about 50 ms per key for formats that
 * derive a key for each value. Throws {@link UnknownFormatError}. AES-CBC is not authenticated: a changed
 * value may decrypt to another text.
 */
export function openOlder(keyring: Keyring, text: string): string {
  const [, iv, body] = CBC_PAIR.exec(text) ?? []
  const attempts =
    iv !== undefined && body !== undefined
      ? cbcAttempts(keyring, Buffer.from(iv, 'hex'), Buffer.from(body, 'hex'))
      : gcmAttempts(keyring, BASE64.test(text) ? Buffer.from(text, 'base64') : Buffer.alloc(0))
  for (const attempt of attempts) {
    const opened = unlessRefused(attempt)
    if (opened !== null) return opened
  }
  throw new UnknownFormatError('no key of ENCRYPTION_KEYS decrypts the value in any older format')
}

type Attempt = () => Buffer

function* cbcAttempts(keyring: Keyring, iv: Buffer, body: Buffer): Generator<Attempt> {
  for (const secret of keyring.secrets()) {
    const key = isHexKey(secret) ? Buffer.from(secret, 'hex') : Buffer.from(secret, 'utf8')
    if (key.length !== 32) continue
    yield () => {
      const decipher = createDecipheriv('aes-256-cbc', key, iv)
      return Buffer.concat([decipher.update(body), decipher.final()])
    }
  }
}

function* gcmAttempts(keyring: Keyring, bytes: Buffer): Generator<Attempt> {
  for (const secret of keyring.secrets()) {
    for (const layout of GCM_LAYOUTS) {
      const { saltBytes, ivBytes } = layout
      if (bytes.length >= saltBytes + ivBytes + TAG_BYTES) yield () => openGcm(bytes, secret, layout)
    }
  }
}

function openGcm(bytes: Buffer, secret: string, layout: GcmLayout): Buffer {
  const { saltBytes, ivBytes, digest, iterations, isTagFirst } = layout
  const key = pbkdf2Sync(secret, bytes.subarray(0, saltBytes), iterations, 32, digest)
  const rest = bytes.subarray(saltBytes + ivBytes)
  const [tag, body] = isTagFirst
    ? [rest.subarray(0, TAG_BYTES), rest.subarray(TAG_BYTES)]
    : [rest.subarray(-TAG_BYTES), rest.subarray(0, -TAG_BYTES)]
  const iv = bytes.subarray(saltBytes, saltBytes + ivBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES }).setAuthTag(tag)
  return Buffer.concat([decipher.update(body), decipher.final()])
}

function unlessRefused(attempt: Attempt): string | null {
  try {
    return utf8.decode(attempt())
  } catch {
    return null
  }
}
