import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { testConnection } from '../connection-test.ts'
import type { Launcher } from './binaries.ts'
import type { ClusterPaths } from './cluster.ts'
import { EmbeddedPostgresError } from './error.ts'

export const START_TIMEOUT_MS = 60_000

const LOG_SIZE_BYTES = 10_000_000
// In this order: roll back and shut down cleanly; exit and leave recovery to the next start; kill.
const STOP_SIGNALS = [
  { signal: 'SIGINT', timeoutMs: 15_000 },
  { signal: 'SIGQUIT', timeoutMs: 5000 },
  { signal: 'SIGKILL', timeoutMs: 5000 },
] as const

export interface ServerLaunch {
  paths: ClusterPaths
  launcher: Launcher
  /** In the form of `postgres -c`. */
  settings: Readonly<Record<string, string>>
}

/** Starts the server process; does not wait for it. */
export function launchServer({ paths, launcher, settings }: ServerLaunch): ChildProcess {
  const flags = Object.entries({
    listen_addresses: '127.0.0.1',
    // No socket: its path may be too long, or its directory not writable for Postgres's user.
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...settings,
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const { file, args, options } = launcher.command('postgres', ['-D', paths.data, ...flags])
  const sizeBytes = statSync(paths.log, { throwIfNoEntry: false })?.size ?? 0
  if (sizeBytes > LOG_SIZE_BYTES) renameSync(paths.log, `${paths.log}.1`)
  const logFile = openSync(paths.log, 'a', 0o600)
  // In its own process group: Ctrl-C in a terminal signals the whole group, but our server needs its database
  // until it has answered the last call.
  const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', logFile, logFile] })
  child.on('error', () => {})
  closeSync(logFile)
  return child
}

/**
 * Resolves once the server answers at this URL; throws with the end of its log if it exits or takes too long.
 */
export async function waitUntilReady(child: ChildProcess, url: string, { log }: ClusterPaths): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (true) {
    if (hasExited(child)) throw new EmbeddedPostgresError(`Postgres did not start. ${endOf(log)}`)
    const outcome = await testConnection(url, { timeoutMs: 2000 })
    if (outcome.ok) return
    if (Date.now() > deadline || outcome.reason.startsWith('the password')) {
      throw new EmbeddedPostgresError(`Postgres does not answer: ${outcome.reason}. ${endOf(log)}`)
    }
    await sleep(20)
  }
}

/** Shuts the server down cleanly, or harder if it takes too long. */
export async function stopServer(child: ChildProcess): Promise<void> {
  const exited = new Promise<void>(done => child.once('exit', () => done()))
  for (const { signal, timeoutMs } of STOP_SIGNALS) {
    if (hasExited(child)) return
    child.kill(signal)
    const timer = new AbortController()
    await Promise.race([exited, sleep(timeoutMs, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
  }
}

export function hasExited(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}

function endOf(log: string): string {
  return `The end of ${log}:\n${readFileSync(log, 'utf8').trimEnd().split('\n').slice(-8).join('\n')}`
}
