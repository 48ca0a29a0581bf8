import { type ChildProcess, fork } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SERVER_PROGRAM, type ServerProcess, startServerProgram } from '#server/testing/server-process.ts'
import { MAX_TASKS_PER_DAY } from './variants/shared.ts'

export type Variant = 'limit' | 'usual' | 'rowhouse'

export const VARIANTS: readonly Variant[] = ['limit', 'usual', 'rowhouse']

/** A variant's server in its own process. */
export interface BenchServer {
  readonly port: number
  /** Resident memory; null if the system does not report it. */
  memoryBytes(): number | null
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly databaseUrl: string
  /** The directory for a CPU profile that the server writes when it stops. */
  readonly profileDir: string | undefined
}

const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 15_000

/** Starts one of the two servers that our server is compared with. */
export async function startVariant(variant: 'limit' | 'usual', options: ServerOptions): Promise<BenchServer> {
  const child = fork(
    script(`./variants/${variant}.ts`),
    [JSON.stringify({ databaseUrl: options.databaseUrl })],
    {
      execArgv: profileArguments(options.profileDir, variant),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  )
  return serverOf(child, await portOf(child, variant))
}

export interface RowhouseOptions extends ServerOptions {
  readonly authSecret: string
  /** The name of its CPU profile. */
  readonly name?: string
}

/** Starts our server as `npm start` does in production, on a database that is already migrated. */
export async function startRowhouseProcess(options: RowhouseOptions): Promise<ServerProcess> {
  const { databaseUrl, authSecret, profileDir, name = 'rowhouse' } = options
  const server = await startServerProgram([...profileArguments(profileDir, name), ...SERVER_PROGRAM], {
    env: {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      APP_URL: 'http://localhost:3000',
      DATABASE_URL: databaseUrl,
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: authSecret,
      ENCRYPTION_KEYS: `bench:${hash('sha256', authSecret)}`,
      MAX_TASKS_PER_DAY: String(MAX_TASKS_PER_DAY),
      MAX_STREAMS_PER_USER: '100000',
    },
  })
  server.child.stderr?.pipe(process.stderr)
  return server
}

export async function startRowhouse(options: RowhouseOptions): Promise<BenchServer> {
  const { child, port } = await startRowhouseProcess(options)
  return serverOf(child, port)
}

function script(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

function profileArguments(profileDir: string | undefined, name: string): string[] {
  if (profileDir === undefined) return []
  return ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`]
}

/** The port that a variant reports in its message to this process. */
async function portOf(child: ChildProcess, name: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const timeout = setTimeout(() => reject(new Error(`${name} did not start in time`)), START_TIMEOUT_MS)
  const onExit = () => reject(new Error(`${name} exited before it listened`))
  child.once('error', reject).once('exit', onExit)
  child.once('message', (message: { port: number }) => resolve(message.port))
  try {
    return await promise
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timeout)
    child.off('exit', onExit)
  }
}

function serverOf(child: ChildProcess, port: number): BenchServer {
  return {
    port,
    memoryBytes: () => residentBytes(child.pid),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const timeout = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
      await exited
      clearTimeout(timeout)
    },
  }
}

function residentBytes(pid: number | undefined): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/VmRSS:\s*(\d+) kB/.exec(status)?.[1]) * 1024
  } catch {
    return null
  }
}
