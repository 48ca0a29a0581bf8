import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isHexKey, KeyringError, parseKeySources } from '#server/crypto/keyring.ts'
import { ensureDataDirectory } from '#server/data-directory.ts'

export const MIN_SECRET_LENGTH = 32

/** Generated secrets say where they belong, so that production can refuse one that was copied there. */
const DEVELOPMENT_PREFIX = 'development-'
const DEVELOPMENT_KEY_ID = 'development'

const PLACEHOLDER =
  /(^|[^a-z])(development|dev|test|example|sample|placeholder|default|dummy|password|change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|it)|your|insecure|todo|xxx+)([^a-z]|$)/i

/**
 * The development secret of this name, made on first use and kept in the data directory for its owner only. Two
 * processes that start at once get the same one.
 */
export function developmentSecret(dataDir: string, name: string): string {
  return keptText(dataDir, name, DEVELOPMENT_PREFIX + randomBytes(32).toString('base64url'))
}

/** The same for a keyring of one key. */
export function developmentKeys(dataDir: string, name: string): string {
  return keptText(dataDir, name, `${DEVELOPMENT_KEY_ID}:${randomBytes(32).toString('hex')}`)
}

/** The text that a file of the data directory holds; `initial` where there is no such file yet. */
function keptText(dataDir: string, name: string, initial: string): string {
  ensureDataDirectory(dataDir)
  const path = join(dataDir, name)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, initial, { mode: 0o600 })
  try {
    linkSync(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft, { force: true })
  }
  return readFileSync(path, 'utf8').trim()
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
export function keysProblem(text: string, isProduction: boolean): string | null {
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
