import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { ensureLogins, loginPassword } from '#server/postgres/logins.ts'
import { migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createApiToken, shownPrefix, storedApiToken } from '#server/rooms/api-tokens/format.ts'
import { startRowhouseProcess } from '../servers.ts'

/** A temporary database with the settings of `npm start`, and a server on it in its own process. */
export interface BenchHouse {
  readonly port: number
  readonly apiUrl: string
  /** Creates a task of a new user, with a token that may read and write it. */
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
  const server = await startRowhouseProcess({
    ...options,
    databaseUrl: database.url,
    authSecret,
    name: 'streams',
  })
  const api = new URL(database.url)
  api.username = 'rowhouse_api'
  api.password = loginPassword(authSecret, 'rowhouse_api')

  const insert = async (text: string, values: unknown[]): Promise<string> => {
    const { rows } = await owner.query<{ id: string }>(text, values)
    return rows[0]?.id ?? ''
  }
  return {
    port: server.port,
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
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(proc(server.child.pid, 'status'))?.[1] ?? 0) * 1024,
    cpuSeconds() {
      const fields = proc(server.child.pid, 'stat').split(') ')[1]?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    async stop() {
      await server.stop()
      await owner.end()
      await database.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

function proc(pid: number | undefined, file: string): string {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8')
}
