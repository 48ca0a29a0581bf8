// Servers in separate processes, for tests of their end, number or size.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { LoginUrls } from '#server/postgres/pools.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from './environment.ts'

export interface ServerProcess extends AsyncDisposable {
  /** The server's URL. */
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /**
   * Stops the server cleanly; another signal ends it at once, and its child processes may survive.
   * Idempotent.
   */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** The arguments of `npm start`. */
export const SERVER_PROGRAM: readonly string[] = [
  '--import',
  new URL('../app/compile-cache.js', import.meta.url).href,
  fileURLToPath(new URL('../main.ts', import.meta.url)),
]

// Less than vitest's timeout, which would leave the process running and its output unread.
const START_TIMEOUT_MS = 25_000

export interface ServerProcessOptions {
  readonly urls: LoginUrls
  readonly directUrl: string
  readonly environment?: Record<string, string>
  readonly limits?: ProcessLimits
}

/** Limits that the operating system sets for a process. */
export interface ProcessLimits {
  /** The largest file that it may write, in units of 512 or 1,024 bytes, depending on the system. */
  readonly maxFileBlocks: number
}

/** Starts a server on a migrated database, and resolves when it listens. */
export function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { urls, directUrl, environment, limits } = options
  return startServerProgram(SERVER_PROGRAM, {
    ...(limits ? { limits } : {}),
    env: {
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: '0',
      APP_URL: 'http://localhost:3000',
      DIRECT_URL: directUrl,
      ...loginEnvironment(urls),
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
      ...environment,
    },
  })
}

/**
 * Runs `node` with the arguments of a server and only the given environment, and resolves when it listens. If
 * it does not start, the error has its output.
 */
export async function startServerProgram(
  args: readonly string[],
  options: {
    readonly env: Record<string, string>
    readonly cwd?: string
    readonly limits?: ProcessLimits
    /** The output of another kind of server when it listens: its URL with the port. */
    readonly isListening?: RegExp
  },
): Promise<ServerProcess> {
  const { limits, isListening = /listening on (http:\/\/[^\s"]*:(\d+))/, ...where } = options
  const program = [process.execPath, ...args]
  const [command = '', ...rest] = limits
    ? ['/bin/sh', '-c', `ulimit -f ${limits.maxFileBlocks} && exec "$0" "$@"`, ...program]
    : program
  const child = spawn(command, rest, { ...where, stdio: ['ignore', 'pipe', 'pipe'] })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>()
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    // Reads its output until it exits: a full pipe would block the server.
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (output.length > 20_000) return
      output += text
      const listening = isListening.exec(output)
      if (listening) resolve(listening)
    })
  }
  const fail = (what: string) => reject(new Error(`the server ${what}:\n${output}`))
  const timer = setTimeout(() => fail('did not listen in time'), START_TIMEOUT_MS)
  child.once('error', reject).once('close', code => fail(`ended with ${code}`))
  try {
    const [, url = '', port] = await promise
    return { url, port: Number(port), child, stop, [Symbol.asyncDispose]: () => stop('SIGKILL') }
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** A port that was just free, for a server that restarts on the same port. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
