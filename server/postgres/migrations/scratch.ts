import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { withDatabase } from '../connection-url.ts'
import { connectOwner } from './connect.ts'
import { asPostgresFailure, MigrationError } from './errors.ts'

const prefix = 'rowhouse_scratch_'
const staleAfterMs = 60 * 60 * 1000

/** Creates an empty database on the same server, and drops it after `work` returns or throws. */
export async function withScratchDatabase<Result>(
  ownerUrl: string,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  const owner = await connectOwner(ownerUrl)
  const name = `${prefix}${Date.now()}_${randomBytes(4).toString('hex')}`
  try {
    await dropStale(owner)
    await createDatabase(owner, name)
    try {
      return await work(withDatabase(ownerUrl, name))
    } finally {
      await owner.query(`drop database if exists ${name} with (force)`)
    }
  } finally {
    await owner.end().catch(() => undefined)
  }
}

async function createDatabase(owner: Client, name: string): Promise<void> {
  try {
    await owner.query(`create database ${name} template template0`)
  } catch (error) {
    if (asPostgresFailure(error)?.code !== '42501') throw error
    const { rows } = await owner.query<{ role: string }>('select quote_ident(current_user) as role')
    const role = rows[0]?.role ?? ''
    throw new MigrationError(
      'no_permission',
      `role ${role} may not create databases, but this command builds the migrations in a scratch database: ` +
        `run "alter role ${role} createdb" as a superuser, or leave DATABASE_URL and DIRECT_URL unset to use the embedded server`,
      { cause: error },
    )
  }
}

/** Drops the scratch databases of killed runs, once they are an hour old. */
async function dropStale(owner: Client): Promise<void> {
  const { rows } = await owner.query<{ name: string }>(
    `select d.datname::text as name
     from pg_catalog.pg_database d
     where starts_with(d.datname, $1) and pg_catalog.pg_has_role(d.datdba, 'usage')`,
    [prefix],
  )
  for (const { name } of rows) {
    const madeAt = Number(name.slice(prefix.length).split('_')[0])
    if (!/^\w+$/.test(name) || !(Date.now() - madeAt > staleAfterMs)) continue
    await owner.query(`drop database if exists ${name}`).catch(() => undefined)
  }
}
