import { AppError } from '#server/rpc/errors.ts'

const RETRY_MS = 60_000

const FULL_DISK: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT'])
const TOO_MANY_FILES: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])

/**
 * Throws an AppError if the client can retry or sent too much; rethrows every other error, which only the
 * operator can fix.
 */
export function throwDiskTrouble(error: unknown): never {
  const code = codeOf(error)
  if (code === 'EFBIG')
    throw new AppError('too_large', 'the file is larger than this server can store', { cause: error })
  if (FULL_DISK.has(code)) throw busy('the disk of this server is full: try again later', error)
  if (TOO_MANY_FILES.has(code)) throw busy('this server has too many open files: try again later', error)
  throw error
}

function busy(message: string, cause: unknown): AppError {
  const retryAt = new Date(Date.now() + RETRY_MS)
  return new AppError('overloaded', message, { cause, isFault: true, retryAt })
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
