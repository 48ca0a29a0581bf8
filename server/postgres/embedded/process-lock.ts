import { execFileSync } from 'node:child_process'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Who holds a lock. The start time tells a process from a later one that was given the same id. */
export interface LockHolder {
  readonly pid: number
  readonly startedAt: string
}

/** The lock is held by a process that lives. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError'
  readonly holder: LockHolder

  constructor(path: string, holder: LockHolder) {
    super(`${path} is held by process ${holder.pid}`)
    this.holder = holder
  }
}

/**
 * Takes the lock file, or throws LockHeldError. A lock whose process is gone is taken over, so that a crash
 * leaves nothing to clean up. Returns the function that gives it back.
 */
export function acquireLock(path: string): () => void {
  const own = JSON.stringify({ pid: process.pid, startedAt: processStartTime(process.pid) })
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, own, { mode: 0o644, flush: true })
  try {
    // A link, unlike a write, appears complete or not at all, and only where nothing stands.
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

/** The living process that holds the lock, if any. */
export function lockHolder(path: string): LockHolder | null {
  const holder = parseHolder(readText(path))
  return holder && processStartTime(holder.pid) === holder.startedAt ? holder : null
}

/**
 * When a living process was started, in a form that only compares; null when it is gone or only waits to be
 * reaped.
 */
function processStartTime(pid: number): string | null {
  if (process.platform === 'linux') {
    const stat = readText(`/proc/${pid}/stat`)
    // The command's name may hold spaces and parentheses; the fields behind its last parenthesis are plain.
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

// Two processes may find the same stale lock: each moves what it finds aside, and puts back what turns out to
// be the other's fresh one.
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

/** The file's text; null where there is no such file, or it can't be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
