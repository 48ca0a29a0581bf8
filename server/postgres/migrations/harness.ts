import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { onTestFinished } from 'vitest'
import { createEmptyDatabase } from '#server/testing/database.ts'

/** Writes migrations into a new directory: name → [up, down]. */
export async function migrationsOf(files: Record<string, [string, string]>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rowhouse-migrations-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  for (const [name, [up, down]] of Object.entries(files)) await writeMigration(directory, name, [up, down])
  return directory
}

/** A leading `!` in the name writes a file without a transaction. */
export async function writeMigration(
  directory: string,
  name: string,
  [up, down]: [string, string],
): Promise<void> {
  const directive = name.startsWith('!') ? '-- rowhouse: no transaction\n' : ''
  const source = `-- A migration of a test.\n${directive}\n-- migrate:up\n${up}\n\n-- migrate:down\n${down}\n`
  await writeFile(join(directory, `${name.replace('!', '')}.sql`), source)
}

/** Runs one query on a new connection. */
export async function rowsOf(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url)
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql)
    return rows
  } finally {
    await client.end()
  }
}

/** Creates a database for this test and returns its owner's URL. */
export async function emptyDatabase(): Promise<string> {
  const database = await createEmptyDatabase()
  onTestFinished(() => database.drop())
  return database.ownerUrl
}

export async function tablesOf(url: string): Promise<string[]> {
  const rows = await rowsOf(
    url,
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname !~ '^pg_|^information' and c.relname <> 'rowhouse_migrations' order by 1`,
  )
  return rows.map(row => String(row.name))
}
