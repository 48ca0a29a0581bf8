import { mkdirSync, readFileSync } from 'node:fs'

/**
 * Creates the data directory where it is missing. It is closed to everyone else; as root it may be passed through, but
 * not listed, because Postgres, which refuses to run as root, keeps its files further down under a user of its own.
 */
export function ensureDataDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
}

/** A file of the data directory is not what was written there; the message names it, and what to do. */
export class DataFileError extends Error {
  override readonly name = 'DataFileError'

  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(`${path} ${problem}`, options)
  }
}

/** The text of a file of the data directory. Throws {@link DataFileError} where it can't be read. */
export function readDataFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : String(error)
    throw new DataFileError(
      path,
      `can't be read (${code}): give it back to the user that this process runs as`,
      {
        cause: error,
      },
    )
  }
}
