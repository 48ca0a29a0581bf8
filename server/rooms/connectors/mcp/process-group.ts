import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const GRACE_MS = 500

/** The running groups; killed when the server exits. */
const held = new Set<number>()

/** Registers a group by its leader until {@link endGroup} ends it. */
export function holdGroup(pid: number): void {
  if (held.size === 0) process.on('exit', endAll)
  held.add(pid)
}

/**
 * Terminates a child's whole process group, and kills what is left after a grace period, including the
 * child's descendants.
 */
export async function endGroup(child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined) return
  const isRunning = child.exitCode === null && child.signalCode === null
  const ended = isRunning ? once(child, 'exit') : Promise.resolve()
  child.stdin?.end()
  signalGroup(pid, 'SIGTERM')
  const timer = setTimeout(signalGroup, GRACE_MS, pid, 'SIGKILL')
  await ended
  clearTimeout(timer)
  signalGroup(pid, 'SIGKILL')
  held.delete(pid)
  if (held.size === 0) process.off('exit', endAll)
}

function endAll(): void {
  for (const pid of held) signalGroup(pid, 'SIGKILL')
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group has no processes left.
  }
}
