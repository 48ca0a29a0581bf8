import { type ChildProcess, fork, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MAX_TASKS_PER_DAY } from './variants/shared.ts'

export type Variant = 'limit' | 'usual' | 'rowhouse'

export const VARIANTS: readonly Variant[] = ['limit', 'usual', 'rowhouse']

/** A variant's server, in a process of its own. */
export interface BenchServer {
  readonly port: number
  /** Resident memory; null where the system does not tell. */
  memoryBytes(): number | null
  stop(): Promise<void>
}

export interface ServerOptions {
  readonly databaseUrl: string
  /** Writes a CPU profile into this directory when the server stops. */
  readonly profileDir: string | undefined
}

const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 15_000

/** Starts one of the two servers that ours is compared with. */
export async function startVariant(variant: 'limit' | 'usual', options: ServerOptions): Promise<BenchServer> {
  const child = fork(
    script(`./variants/${variant}.ts`),
    [JSON.stringify({ databaseUrl: options.databaseUrl })],
    {
      execArgv: profileArguments(options.profileDir, variant),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  )
  const port = await started(child, variant, resolve => {
    child.once('message', (message: { port: number }) => resolve(message.port))
  })
  return serverOf(child, port)
}

/** Starts our server as `npm start` does, in production, on a database that is migrated already. */
export async function startRowhouse(options: ServerOptions & { authSecret: string }): Promise<BenchServer> {
  const { databaseUrl, authSecret, profileDir } = options
  const args = [...profileArguments(profileDir, 'rowhouse'), script('../../server/main.ts')]
  const child = spawn(process.execPath, args, {
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
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let log = ''
  const port = await started(child, 'rowhouse', resolve => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 10_000) log += text
      const match = /listening on http:\/\/[^\s"]*:(\d+)/.exec(log)
      if (match) resolve(Number(match[1]))
    })
  }).catch(error => {
    throw new Error(`${error.message}\n${log}`)
  })
  return serverOf(child, port)
}

function script(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url))
}

function profileArguments(profileDir: string | undefined, name: string): string[] {
  if (profileDir === undefined) return []
  return ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`]
}

async function started(
  child: ChildProcess,
  name: string,
  whenListening: (resolve: (port: number) => void) => void,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const timeout = setTimeout(() => reject(new Error(`${name} did not start in time`)), START_TIMEOUT_MS)
  const onExit = () => reject(new Error(`${name} ended before it listened`))
  child.once('error', reject).once('exit', onExit)
  whenListening(resolve)
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
