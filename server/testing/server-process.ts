import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LoginUrls } from '../db/pools.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from './environment.ts'

/** A server as `npm start` runs it, in a process of its own. */
export interface ServerProcess extends AsyncDisposable {
  readonly port: number
  readonly child: ChildProcess
  /** Lets it drain; another signal ends it at once. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

export interface ServerProcessOptions {
  readonly urls: LoginUrls
  readonly directUrl: string
  readonly port?: number
  readonly environment?: Record<string, string>
}

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))

/** Starts a server on a database that is migrated already, and resolves when it listens. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { urls, directUrl, port = 0, environment } = options
  const child = spawn(process.execPath, [MAIN], {
    env: {
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: String(port),
      APP_URL: 'http://localhost:3000',
      DIRECT_URL: directUrl,
      API_DATABASE_URL: urls.api,
      PUBLIC_DATABASE_URL: urls.public,
      AUTH_DATABASE_URL: urls.auth,
      SYSTEM_DATABASE_URL: urls.system,
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stderr.on('data', (text: Buffer) => {
    output += text
  })
  const listening = await new Promise<number>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the server ended with ${code}:\n${output}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < 20_000) output += text
      const match = /listening on http:\/\/[^\s"]*:(\d+)/.exec(output)
      if (match) resolve(Number(match[1]))
    })
  })
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return { port: listening, child, stop, [Symbol.asyncDispose]: () => stop('SIGKILL') }
}
