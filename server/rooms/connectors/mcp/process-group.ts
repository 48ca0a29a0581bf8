import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const GRACE_MS = 500

/** The groups that still run: a server that exits takes them along. */
const held = new Set<number>()

/** Remembers a group by its leader until it is ended. */
export function holdGroup(pid: number): void {
  if (held.size === 0) process.on('exit', endAll)
  held.add(pid)
}

/** Asks a child's whole process group to end and kills what is left after a grace, children of the child included. */
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
    // Nobody is left in the group.
  }
}
