import { type ChildProcess, spawn } from 'node:child_process'
import { hash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createApiToken, shownPrefix, storedApiToken } from '#server/api-tokens/format.ts'
import { toPgConfig } from '#server/db/connection-url.ts'
import { startEmbeddedPostgres } from '#server/db/embedded/postgres.ts'
import { ensureLogins, loginPassword } from '#server/db/logins.ts'
import { migrateToLatest } from '#server/db/migrations/runner.ts'

/** A throwaway database with the settings of `npm start`, and a server on it in a process of its own. */
export interface BenchHouse {
  readonly port: number
  readonly apiUrl: string
  /** A task of a new user's, with a token that may read and write it. */
  createTask(): Promise<BenchTask>
  residentBytes(): number
  cpuSeconds(): number
  stop(): Promise<void>
}

export interface BenchTask {
  readonly id: string
  readonly token: string
}

export async function openBenchHouse(options: { profileDir: string | undefined }): Promise<BenchHouse> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-bench-'))
  const authSecret = randomBytes(32).toString('base64')
  const database = await startEmbeddedPostgres({ dataDir })
  await migrateToLatest({ url: database.url })
  await ensureLogins(database.url, authSecret)
  const owner = new pg.Client(toPgConfig(database.url))
  await owner.connect()
  const { server, port } = await startServer(database.url, authSecret, options.profileDir)
  const api = new URL(database.url)
  api.username = 'rowhouse_api'
  api.password = loginPassword(authSecret, 'rowhouse_api')

  const insert = async (text: string, values: unknown[]): Promise<string> => {
    const { rows } = await owner.query<{ id: string }>(text, values)
    return rows[0]?.id ?? ''
  }
  return {
    port,
    apiUrl: api.href,
    async createTask() {
      const token = createApiToken()
      const userId = await insert(`insert into auth.users (name, email) values ('Ada', $1) returning id`, [
        `${randomUUID()}@example.com`,
      ])
      await insert(
        `insert into app.api_tokens (user_id, name, prefix, token_hash, scopes)
         values ($1, 'bench', $2, $3, '{tasks:write}') returning id`,
        [userId, shownPrefix(token), storedApiToken(token)],
      )
      const id = await insert(
        `insert into app.tasks (user_id, title, prompt) values ($1, 'bench', 'bench') returning id`,
        [userId],
      )
      return { id, token }
    },
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(proc(server, 'status'))?.[1] ?? 0) * 1024,
    cpuSeconds() {
      const fields = proc(server, 'stat').split(') ')[1]?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    async stop() {
      server.kill('SIGTERM')
      await once(server, 'exit')
      await owner.end()
      await database.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

function proc(server: ChildProcess, file: string): string {
  return readFileSync(`/proc/${server.pid}/${file}`, 'utf8')
}

async function startServer(
  databaseUrl: string,
  authSecret: string,
  profileDir: string | undefined,
): Promise<{ server: ChildProcess; port: number }> {
  const profile =
    profileDir === undefined
      ? []
      : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, '--cpu-prof-name=streams.cpuprofile']
  const main = fileURLToPath(new URL('../../../server/main.ts', import.meta.url))
  const server = spawn(process.execPath, [...profile, main], {
    env: {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: '0',
      APP_URL: 'http://localhost:3000',
      DATABASE_URL: databaseUrl,
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: authSecret,
      ENCRYPTION_KEYS: `bench:${hash('sha256', authSecret)}`,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let log = ''
  const port = await new Promise<number>((resolve, reject) => {
    server.once('exit', code => reject(new Error(`the server ended with ${code}\n${log}`)))
    server.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 10_000) log += text
      const match = /listening on http:\/\/[^\s"]*:(\d+)/.exec(log)
      if (match) resolve(Number(match[1]))
    })
  })
  return { server, port }
}
