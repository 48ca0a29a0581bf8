// Servers in processes of their own, for tests of what their end, their number or their absence does to callers.
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { TestDatabase } from '#server/testing/database.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'

export interface ServerProcess {
  readonly url: string
  /** Ends it as a crash would; what it started may live on. */
  kill(): Promise<void>
  /** Lets it end in order. */
  stop(): Promise<void>
}

const START_MS = 30_000

export async function startServerProcess(environment: Record<string, string>): Promise<ServerProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../server/main.ts')], {
    env: {
      PATH: '/usr/bin:/bin',
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'info',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const fail = () => reject(new Error(`the server did not start:\n${output}`))
    const timer = setTimeout(fail, START_MS)
    child.once('close', fail)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', chunk => {
        if (output.length < 10_000) output += String(chunk)
        const [, address] = /listening on (http:\S+?)"/.exec(output) ?? []
        if (address === undefined) return
        clearTimeout(timer)
        resolve(address)
      })
    }
  })
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await exited
  }
  return { url, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
}

/** What tells a server to serve from a test's database. */
export function servingFrom({ urls, ownerUrl }: TestDatabase): Record<string, string> {
  return {
    DIRECT_URL: ownerUrl,
    API_DATABASE_URL: urls.api,
    PUBLIC_DATABASE_URL: urls.public,
    AUTH_DATABASE_URL: urls.auth,
    SYSTEM_DATABASE_URL: urls.system,
  }
}

/** A port that was free a moment ago, for a server that comes back where it was. */
export function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
