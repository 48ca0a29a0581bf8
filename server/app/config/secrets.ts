import { randomBytes } from 'node:crypto'
import { linkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isHexKey, KeyringError, parseKeySources } from '#server/crypto/keyring.ts'
import { DataFileError, ensureDataDirectory, readDataFile } from '../data-directory.ts'
import type { ConfigReader } from './reader.ts'

export const MIN_SECRET_LENGTH = 32

/** Generated secrets say where they belong, so that production can refuse one that was copied there. */
const DEVELOPMENT_PREFIX = 'development-'
const DEVELOPMENT_SECRET = new RegExp(`^${DEVELOPMENT_PREFIX}[\\w-]{43}$`)
const DEVELOPMENT_KEY_ID = 'development'

const PLACEHOLDER =
  /(^|[^a-z])(development|dev|test|example|sample|placeholder|default|dummy|password|change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|it)|your|insecure|todo|xxx+)([^a-z]|$)/i

/**
 * The development secret of this name, made on first use and kept in the data directory for its owner only. Two
 * processes that start at once get the same one.
 */
export function developmentSecret(dataDir: string, name: string): string {
  const text = keptText(dataDir, name, DEVELOPMENT_PREFIX + randomBytes(32).toString('base64url'))
  if (DEVELOPMENT_SECRET.test(text)) return text
  throw new DataFileError(
    join(dataDir, name),
    `${describeText(text)} the secret that was generated here. Restore it from a backup, or remove it: with a new secret everybody ` +
      'signs in again. A secret of your own is AUTH_SECRET',
  )
}

/** The same for a keyring of one key. */
export function developmentKeys(dataDir: string, name: string): string {
  const text = keptText(dataDir, name, `${DEVELOPMENT_KEY_ID}:${randomBytes(32).toString('hex')}`)
  if (keysProblem(text, false) === null) return text
  throw new DataFileError(
    join(dataDir, name),
    `${describeText(text)} the keys that seal secrets of this installation. Restore it from a backup. Without one, remove it: what ` +
      'the lost key sealed stays unreadable. Keys of your own are ENCRYPTION_KEYS',
  )
}

/** The text that a file of the data directory holds; `initial` where there is no such file yet. */
function keptText(dataDir: string, name: string, initial: string): string {
  ensureDataDirectory(dataDir)
  const path = join(dataDir, name)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, initial, { mode: 0o600, flush: true })
  try {
    linkSync(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readDataFile(path).trim()
}

function describeText(text: string): string {
  return text === '' ? 'is empty instead of holding' : 'does not hold'
}

/** What keeps a secret from protecting anything, in words that follow its name; null for a good one. */
export function weaknessOf(secret: string): string | null {
  if (secret.length < MIN_SECRET_LENGTH) {
    return `has ${secret.length} characters, and production wants at least ${MIN_SECRET_LENGTH}`
  }
  if (PLACEHOLDER.test(secret)) return 'is a development or placeholder secret, which production refuses'
  if (new Set(secret).size < 10) return 'repeats a few characters, which makes it easy to guess'
  return null
}

/** What is wrong with a keyring, in words that follow its name and hold no key; null for a good one. */
function keysProblem(text: string, isProduction: boolean): string | null {
  try {
    const sources = parseKeySources(text)
    if (!isProduction) return null
    if (sources[0].id === DEVELOPMENT_KEY_ID) {
      return 'seals with a key that was generated for development; put one of production in front of it'
    }
    for (const { id, secret } of sources) {
      const weakness = isHexKey(secret) ? null : weaknessOf(secret)
      if (weakness) return `has a key "${id}" that ${weakness}`
    }
    return null
  } catch (error) {
    if (error instanceof KeyringError) return error.message
    throw error
  }
}

/** The keyring as text; undefined where it is absent or wrong. */
export function readEncryptionKeys(reader: ConfigReader, isProduction: boolean): string | undefined {
  const name = reader.nameOf('ENCRYPTION_KEYS', 'ENCRYPTION_KEY', holdsKey)
  const text = reader.text(name)
  if (name === 'ENCRYPTION_KEY' && text !== undefined && !isHexKey(text)) {
    reader.refuse(
      name,
      'must be one key of 64 hex digits; several are ENCRYPTION_KEYS',
      '$(openssl rand -hex 32)',
    )
    return undefined
  }
  const keys = name === 'ENCRYPTION_KEY' && text !== undefined ? `${ALIAS_KEY_ID}:${text}` : text
  const problem =
    keys === undefined
      ? isProduction && 'is missing; production wants a key that seals the secrets of its users'
      : keysProblem(keys, isProduction)
  if (problem) reader.refuse(name, problem, 'k1:$(openssl rand -hex 32)')
  return keys
}

/** What the key of ENCRYPTION_KEY is called in a keyring. */
const ALIAS_KEY_ID = 'k1'

/** Whether the keyring is of this key, perhaps among others. */
function holdsKey(keys: string, key: string): boolean {
  return keys.split(',').some(
    item =>
      item
        .slice(item.indexOf(':') + 1)
        .trim()
        .toLowerCase() === key.toLowerCase(),
  )
}
