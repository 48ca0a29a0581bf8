import { mkdirSync } from 'node:fs'

/**
 * Creates the data directory where it is missing. It is closed to everyone else; as root it may be passed through, but
 * not listed, because Postgres, which refuses to run as root, keeps its files further down under a user of its own.
 */
export function ensureDataDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
}
