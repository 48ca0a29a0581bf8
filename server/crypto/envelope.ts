// A stored secret: `rh1.<key id>.<base64url of iv, ciphertext and tag>`, AES-256-GCM under a key derived for
// its column and bound to its row. docs/envelope.md describes the format for other implementations.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Keyring } from './keyring.ts'

/** The place of an encrypted value, which is its additional data: it decrypts nowhere else. */
export interface Place {
  /** With its schema, such as "app.provider_keys". */
  readonly table: string
  readonly column: string
  readonly ownerId: string
  readonly rowId: string
}

export type UnreadableCause = 'malformed' | 'unknown_key' | 'tampered'

const CAUSES: Readonly<Record<UnreadableCause, string>> = {
  malformed: 'it is not an envelope',
  unknown_key: 'it is encrypted with a key that ENCRYPTION_KEYS does not have',
  tampered: 'it was changed, was encrypted for another row, or ENCRYPTION_KEYS has another key under its id',
}

/**
 * A value that does not decrypt. The message names its place and the cause, and contains nothing of the
 * value.
 */
export class UnreadableValueError extends Error {
  override readonly name = 'UnreadableValueError'
  readonly kind: UnreadableCause
  readonly place: Place
  /** The id of the envelope's key; null if the value is not an envelope. */
  readonly keyId: string | null

  constructor(kind: UnreadableCause, place: Place, keyId: string | null = null) {
    const named = kind === 'unknown_key' ? ` ("${keyId}")` : ''
    super(`${place.table}.${place.column} of row "${place.rowId}" is unreadable: ${CAUSES[kind]}${named}`)
    this.kind = kind
    this.place = place
    this.keyId = keyId
  }
}

const VERSION = 'rh1'
const ENVELOPE = /^rh1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{38,})$/
const IV_BYTES = 12
const TAG_BYTES = 16

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Encrypts a text for one place with the keyring's first key; each call returns another envelope. */
export function seal(keyring: Keyring, plaintext: string, place: Place): string {
  return sealWith(keyring, plaintext, { place, iv: randomBytes(IV_BYTES) })
}

/** For test vectors only: a nonce used twice under one key breaks its authentication. */
export function sealWith(
  keyring: Keyring,
  plaintext: string,
  { place, iv }: { readonly place: Place; readonly iv: Buffer },
): string {
  if (!plaintext.isWellFormed()) throw new TypeError('a text with a lone surrogate has no UTF-8 to seal')
  const keyId = keyring.currentKeyId
  const key = keyring.recordKey(keyId, purposeOf(place))
  if (!key) throw new Error(`the keyring has lost its key "${keyId}"`)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(additionalData(keyId, place))
  const sealed = Buffer.concat([iv, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return `${VERSION}.${keyId}.${sealed.toString('base64url')}`
}

/** Decrypts an envelope of {@link seal} for the same place. Throws only {@link UnreadableValueError}. */
export function open(keyring: Keyring, envelope: string, place: Place): string {
  const parts = parse(envelope)
  if (!parts) throw new UnreadableValueError('malformed', place)
  const { keyId, bytes } = parts
  const key = keyring.recordKey(keyId, purposeOf(place))
  if (!key) throw new UnreadableValueError('unknown_key', place, keyId)
  const tagStart = bytes.length - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(additionalData(keyId, place))
  decipher.setAuthTag(bytes.subarray(tagStart))
  const head = decipher.update(bytes.subarray(IV_BYTES, tagStart))
  try {
    return utf8.decode(Buffer.concat([head, decipher.final()]))
  } catch {
    throw new UnreadableValueError('tampered', place, keyId)
  }
}

/** The id of an envelope's key; null for any other text. */
export function keyIdOf(envelope: string): string | null {
  return parse(envelope)?.keyId ?? null
}

function parse(envelope: string): { keyId: string; bytes: Buffer } | null {
  const [, keyId, body] = ENVELOPE.exec(envelope) ?? []
  if (keyId === undefined || body === undefined) return null
  const bytes = Buffer.from(body, 'base64url')
  // Compares the encoding, because unused bits of the last character could be changed unnoticed.
  if (bytes.length < IV_BYTES + TAG_BYTES || bytes.toString('base64url') !== body) return null
  return { keyId, bytes }
}

function purposeOf({ table, column }: Place): string {
  return `${table}.${column}`
}

/** Each part follows its length, so that no two places have the same bytes. */
function additionalData(keyId: string, { table, column, ownerId, rowId }: Place): Buffer {
  const parts: Buffer[] = []
  for (const text of [VERSION, keyId, table, column, ownerId, rowId]) {
    const bytes = Buffer.from(text, 'utf8')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}
