import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDataDirectory } from '#server/data-directory.ts'

export const MIN_SECRET_LENGTH = 32

/** Generated secrets say where they belong, so that production can refuse one that was copied there. */
const DEVELOPMENT_PREFIX = 'development-'

const PLACEHOLDER =
  /(^|[^a-z])(development|dev|test|example|sample|placeholder|default|dummy|password|change[-_ ]?(me|this|it)|replace[-_ ]?(me|this|it)|your|insecure|todo|xxx+)([^a-z]|$)/i

/**
 * The development secret of this name, made on first use and kept in the data directory for its owner only. Two
 * processes that start at once get the same one.
 */
export function developmentSecret(dataDir: string, name: string): string {
  ensureDataDirectory(dataDir)
  const path = join(dataDir, name)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, DEVELOPMENT_PREFIX + randomBytes(32).toString('base64url'), { mode: 0o600 })
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
