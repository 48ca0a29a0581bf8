import { execFileSync } from 'node:child_process'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** The process that holds a lock. The start time distinguishes it from a later process with the same id. */
export interface LockHolder {
  readonly pid: number
  readonly startedAt: string
}

/** A living process holds the lock. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError'
  readonly holder: LockHolder

  constructor(path: string, holder: LockHolder) {
    super(`${path} is held by process ${holder.pid}`)
    this.holder = holder
  }
}

/**
 * Takes the lock file, or throws LockHeldError. Takes over the lock of a dead process, so that a crash needs
 * no cleanup. Returns a function that releases the lock.
 */
export function acquireLock(path: string): () => void {
  const own = JSON.stringify({ pid: process.pid, startedAt: processStartTime(process.pid) })
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, own, { mode: 0o644, flush: true })
  try {
    // A link, unlike a write, is atomic and fails if the file exists.
    while (!tryLink(draft, path)) {
      const holder = lockHolder(path)
      if (holder) throw new LockHeldError(path, holder)
      removeStaleLock(path)
    }
  } finally {
    rmSync(draft, { force: true })
  }
  return () => {
    if (readText(path) === own) rmSync(path, { force: true })
  }
}

/** The living process that holds the lock, or null. */
export function lockHolder(path: string): LockHolder | null {
  const holder = parseHolder(readText(path))
  return holder && processStartTime(holder.pid) === holder.startedAt ? holder : null
}

/** A living process's start time, only for comparing; null if it is gone or a zombie. */
function processStartTime(pid: number): string | null {
  if (process.platform === 'linux') {
    const stat = readText(`/proc/${pid}/stat`)
    // The command's name may contain spaces and parentheses; parse the fields after its last parenthesis.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startedAt] = [fields?.[0], fields?.[19]]
    return state === undefined || state === 'Z' || state === 'X' ? null : (startedAt ?? null)
  }
  try {
    const [state = '', ...startedAt] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(/\s+/)
    return state.startsWith('Z') || startedAt.length === 0 ? null : startedAt.join(' ')
  } catch {
    return null
  }
}

export function isProcessAlive(pid: number): boolean {
  return processStartTime(pid) !== null
}

// Two processes may find the same stale lock: each renames the file, and restores it if it turns out to be
// the other's new lock.
function removeStaleLock(path: string): void {
  const aside = `${path}.stale.${process.pid}`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (lockHolder(aside)) tryLink(aside, path)
  rmSync(aside, { force: true })
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function parseHolder(text: string | null): LockHolder | null {
  try {
    const value: unknown = JSON.parse(text ?? '')
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startedAt' in value))
      return null
    const { pid, startedAt } = value
    return typeof pid === 'number' && typeof startedAt === 'string' ? { pid, startedAt } : null
  } catch {
    return null
  }
}

/** The file's text; null if it does not exist or can't be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
