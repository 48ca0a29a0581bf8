import { readFileSync } from 'node:fs'

/** Whether a process runs. A process that has ended may stay in the list as a zombie. */
export function isAlive(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
