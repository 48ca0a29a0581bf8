import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { withDatabase } from '#server/postgres/connection-url.ts'
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { ensureLogins } from '#server/postgres/logins.ts'
import { migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { type Dataset, loadDataset } from './dataset.ts'

/** A temporary Postgres with the settings of `npm start`: nothing that protects data is switched off. */
export interface BenchCluster {
  /** The server's version and settings, in one line. */
  readonly description: string
  /** Creates a migrated database with the dataset and returns its owner's URL. */
  createDatabase(name: string, dataset: Dataset): Promise<string>
  stop(): Promise<void>
}

export async function startCluster(authSecret: string): Promise<BenchCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-bench-'))
  const remove = () => rmSync(dataDir, { recursive: true, force: true })
  try {
    const server = await startEmbeddedPostgres({ dataDir })
    return {
      description: await query(server.url, DESCRIBE),
      async createDatabase(name, dataset) {
        await query(server.url, `create database ${name}`)
        const url = withDatabase(server.url, name)
        await migrateToLatest({ url, log: () => {} })
        await ensureLogins(url, authSecret)
        await loadDataset(url, dataset)
        return url
      },
      async stop() {
        await server.stop()
        remove()
      },
    }
  } catch (error) {
    remove()
    throw error
  }
}

const DESCRIBE = `
select format(
  'PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s',
  split_part(current_setting('server_version'), ' ', 1), current_setting('fsync'), current_setting('synchronous_commit'),
  current_setting('shared_buffers')
) as value`

async function query(url: string, sql: string): Promise<string> {
  const client = new Client(toPgConfig(url))
  await client.connect()
  try {
    const { rows } = await client.query<{ value: string }>(sql)
    return rows[0]?.value ?? ''
  } finally {
    await client.end()
  }
}
