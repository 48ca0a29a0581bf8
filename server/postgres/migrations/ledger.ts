import type { Client } from 'pg'
import type { Queryable } from './connect.ts'
import { asPostgresFailure, MigrationError } from './errors.ts'
import { byNumber } from './file.ts'

/**
 * A row of `public.rowhouse_migrations`. Only a file without a transaction is ever visible as `applying` or
 * `reverting`: then the first `statementsDone` of its statements are in the database, and `checksum` covers
 * those.
 */
export interface AppliedMigration {
  name: string
  checksum: string
  appliedAt: Date
  durationMs: number
  /** All migrations of one run have the same batch; `rollback` undoes the newest batch. */
  batch: number
  state: 'applied' | 'applying' | 'reverting'
  statementsDone: number
}

const createLedger = `
  create table if not exists public.rowhouse_migrations (
    name text primary key,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    duration_ms integer not null,
    batch integer not null,
    state text not null,
    statements_done integer not null,
    source text not null,
    constraint rowhouse_migrations_state_check check (state in ('applied', 'applying', 'reverting'))
  );
  comment on table public.rowhouse_migrations is
    'What kysely-migrate applied: by file, with its checksum and its source.';
`

export async function ensureLedger(client: Client): Promise<void> {
  if (await hasLedger(client)) return
  try {
    await client.query(createLedger)
  } catch (error) {
    if (asPostgresFailure(error)?.code !== '42501') throw error
    const { rows } = await client.query<{ role: string; database: string }>(
      'select current_user as role, current_database() as database',
    )
    const { role = '', database = '' } = rows[0] ?? {}
    throw new MigrationError(
      'no_permission',
      `role "${role}" may not create tables in schema public of database "${database}": ` +
        `let it own the database (alter database "${database}" owner to "${role}"), or name the owner in DIRECT_URL`,
      { cause: error },
    )
  }
}

async function hasLedger(client: Queryable): Promise<boolean> {
  const { rows } = await client.query(
    "select pg_catalog.to_regclass('public.rowhouse_migrations') is not null as present",
  )
  return rows[0]?.present === true
}

/** Reads the applied migrations in order; empty if none was ever applied. */
export async function readAppliedMigrations(client: Queryable): Promise<AppliedMigration[]> {
  if (!(await hasLedger(client))) return []
  const { rows } = await client.query(`
    select name, checksum, applied_at, duration_ms, batch, state, statements_done
    from public.rowhouse_migrations
  `)
  return rows
    .map(
      (row): AppliedMigration => ({
        name: String(row.name),
        checksum: String(row.checksum),
        appliedAt: row.applied_at instanceof Date ? row.applied_at : new Date(String(row.applied_at)),
        durationMs: Number(row.duration_ms),
        batch: Number(row.batch),
        state: row.state === 'applying' || row.state === 'reverting' ? row.state : 'applied',
        statementsDone: Number(row.statements_done),
      }),
    )
    .sort((left, right) => byNumber(left.name, right.name))
}

/** The source of a migration at the time it was applied. */
export async function readAppliedSource(client: Client, name: string): Promise<string | null> {
  const { rows } = await client.query<{ source: string }>(
    'select source from public.rowhouse_migrations where name = $1',
    [name],
  )
  return rows[0]?.source ?? null
}

export interface LedgerEntry {
  name: string
  checksum: string
  source: string
  batch: number
  durationMs: number
  state: AppliedMigration['state']
  statementsDone: number
}

export async function writeEntry(client: Client, entry: LedgerEntry): Promise<void> {
  await client.query(
    `insert into public.rowhouse_migrations
       (name, checksum, source, batch, duration_ms, state, statements_done, applied_at)
     values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())
     on conflict (name) do update set
       checksum = excluded.checksum,
       source = excluded.source,
       batch = excluded.batch,
       duration_ms = excluded.duration_ms,
       state = excluded.state,
       statements_done = excluded.statements_done,
       applied_at = excluded.applied_at`,
    [
      entry.name,
      entry.checksum,
      entry.source,
      entry.batch,
      entry.durationMs,
      entry.state,
      entry.statementsDone,
    ],
  )
}

export async function removeEntry(client: Client, name: string): Promise<void> {
  await client.query('delete from public.rowhouse_migrations where name = $1', [name])
}

/** Lets the API's login read the applied migrations, once that login exists. */
export async function grantLedger(client: Client): Promise<void> {
  const { rows } = await client.query(`
    select 1 as missing
    from pg_catalog.pg_roles
    where rolname = 'rowhouse_api'
      and not pg_catalog.has_column_privilege(oid, 'public.rowhouse_migrations'::regclass, 'name', 'select')
  `)
  if (rows.length === 0) return
  await client.query(`
    grant select (name, checksum, applied_at, duration_ms, batch, state, statements_done)
    on public.rowhouse_migrations to rowhouse_api
  `)
}
