import { createSecretKey, hkdfSync, type KeyObject, pbkdf2Sync } from 'node:crypto'

/** OWASP's number for PBKDF2-SHA256. Part of the format: another number gives another key. */
const PBKDF2_ITERATIONS = 600_000
const MIN_PASSPHRASE_LENGTH = 20

const KEY_BYTES = 32
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/

/** ENCRYPTION_KEYS is invalid. The message names keys by position and id, and never contains one. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError'
}

interface KeySource {
  readonly id: string
  readonly secret: string
}

/**
 * The keys of secrets: the first encrypts, all decrypt. Printing or serializing an object never shows them.
 */
export class Keyring {
  readonly keyIds: readonly string[]
  /** The id of the key that encrypts. */
  readonly currentKeyId: string
  readonly #sources: ReadonlyMap<string, KeySource>
  readonly #keys: ReadonlyMap<string, Buffer>
  readonly #recordKeys = new Map<string, KeyObject>()

  /** Derives every key, which takes a fraction of a second per passphrase: create one per process. */
  constructor(sources: readonly [KeySource, ...KeySource[]]) {
    this.keyIds = sources.map(({ id }) => id)
    this.currentKeyId = sources[0].id
    this.#sources = new Map(sources.map(source => [source.id, source]))
    this.#keys = new Map(sources.map(source => [source.id, keyOf(source)]))
  }

  /** The key for one purpose, such as a table's column; undefined if the keyring has no key of this id. */
  recordKey(keyId: string, purpose: string): KeyObject | undefined {
    const name = `${keyId} ${purpose}`
    const known = this.#recordKeys.get(name)
    if (known) return known
    const key = this.#keys.get(keyId)
    if (!key) return undefined
    const derived = hkdfSync('sha256', key, '', `rowhouse record key ${purpose}`, KEY_BYTES)
    const recordKey = createSecretKey(Buffer.from(derived))
    this.#recordKeys.set(name, recordKey)
    return recordKey
  }

  /** Every key in its original text, for formats that derive from it. */
  *secrets(): Generator<string> {
    for (const { secret } of this.#sources.values()) yield secret
  }
}

/** Reads `k2:…,k1:…`. Throws {@link KeyringError}. */
export function parseKeyring(text: string): Keyring {
  return new Keyring(parseKeySources(text))
}

/** Reads `k2:…,k1:…` without deriving anything. Throws {@link KeyringError}. */
export function parseKeySources(text: string): [KeySource, ...KeySource[]] {
  const sources = text.split(',').map((item, index) => parseKeySource(item.trim(), index + 1))
  const [first, ...others] = sources
  if (!first) throw new KeyringError('names no key')
  const ids = new Set<string>()
  for (const { id } of sources) {
    if (ids.has(id)) throw new KeyringError(`names the key "${id}" twice`)
    ids.add(id)
  }
  return [first, ...others]
}

function parseKeySource(item: string, position: number): KeySource {
  const colon = item.indexOf(':')
  if (colon === -1) {
    throw new KeyringError(`has no id before its key ${position}: write keys as id:key, separated by commas`)
  }
  const id = item.slice(0, colon)
  const secret = item.slice(colon + 1).trim()
  if (!KEY_ID.test(id)) {
    throw new KeyringError(
      `has an invalid id before its key ${position}: an id has 1 to 32 letters, digits, "_" or "-"`,
    )
  }
  const problem = secretProblem(secret)
  if (problem) throw new KeyringError(`has a key "${id}" that ${problem}`)
  return { id, secret }
}

function secretProblem(secret: string): string | null {
  if (secret === '') return 'is empty'
  if (isHexKey(secret)) {
    return new Set(secret.toLowerCase()).size < 6
      ? 'repeats a few digits, which makes it easy to guess'
      : null
  }
  if (/^[0-9a-f]+$/i.test(secret) && secret.length >= 16) {
    return `has ${secret.length} hex digits, but a key of hex digits has 64`
  }
  if (secret.length < MIN_PASSPHRASE_LENGTH) {
    return `is a passphrase of ${secret.length} characters, and a passphrase has at least ${MIN_PASSPHRASE_LENGTH} (or a key is 64 hex digits)`
  }
  return new Set(secret).size < 8 ? 'repeats a few characters, which makes it easy to guess' : null
}

export function isHexKey(secret: string): boolean {
  return /^[0-9a-f]{64}$/i.test(secret)
}

function keyOf({ id, secret }: KeySource): Buffer {
  if (isHexKey(secret)) return Buffer.from(secret, 'hex')
  return pbkdf2Sync(secret.normalize('NFC'), `rowhouse key ${id}`, PBKDF2_ITERATIONS, KEY_BYTES, 'sha256')
}
