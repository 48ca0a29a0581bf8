import { readFileSync } from 'node:fs'

/** Whether a process runs. One that ended stays in the list as a zombie where nothing collects it. */
export function isAlive(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
