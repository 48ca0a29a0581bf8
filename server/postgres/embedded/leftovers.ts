import { execFileSync } from 'node:child_process'
import { readdirSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isProcessAlive, readText } from './process-lock.ts'

/**
 * Stops the Postgres processes that a crash left on a cluster without an owner, and removes the stale pid
 * file. After a crash of our process the server is left; after a crash of the server, its backends are.
 */
export async function stopLeftovers(data: string, log: (line: string) => void): Promise<void> {
  const server = findServer(data)
  if (server !== null) {
    log(`stopping the Postgres of an earlier run, process ${server}`)
    await end(server, ['SIGINT', 'SIGQUIT', 'SIGKILL'])
  }
  for (const backend of findBackends(data)) await end(backend, ['SIGQUIT', 'SIGKILL'])
  // Postgres would mistake any living process with the same id for a running server.
  rmSync(join(data, 'postmaster.pid'), { force: true })
}

function findServer(data: string): number | null {
  const pid = Number.parseInt(readText(join(data, 'postmaster.pid')) ?? '', 10)
  return pid > 0 && isProcessAlive(pid) && commandLine(pid).includes(data) ? pid : null
}

// A backend's command line is its title, so this recognises it by its working directory, the cluster's.
// Without /proc, Postgres's own check of its shared memory must suffice.
function findBackends(data: string): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .map(Number)
    .filter(pid => pid > 0 && commandLine(pid).startsWith('postgres: ') && workingDirectory(pid) === data)
}

async function end(pid: number, signals: readonly NodeJS.Signals[]): Promise<void> {
  for (const signal of signals) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (!isProcessAlive(pid)) return
      throw new Error(`Process ${pid}, a Postgres of an earlier run, can't be stopped: ${error}`, {
        cause: error,
      })
    }
    const deadline = Date.now() + 10_000
    while (Date.now() < deadline) {
      if (!isProcessAlive(pid)) return
      await sleep(10)
    }
  }
}

function commandLine(pid: number): string {
  if (process.platform === 'linux') return (readText(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ')
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  } catch {
    return ''
  }
}

function workingDirectory(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return null
  }
}
