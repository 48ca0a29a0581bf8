import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { prepareSession, type Run } from './apply.ts'
import { MigrationError } from './errors.ts'
import { defaultDirectory, type MigrationFile, parseMigration, readMigrationFiles } from './file.ts'
import { historyProblems } from './history.ts'
import { type AppliedMigration, ensureLedger, readAppliedMigrations, readAppliedSource } from './ledger.ts'
import {
  type MigrateOptions,
  type MigrateResult,
  migrateToLatest,
  nextBatch,
  runStep,
  withMigrationLock,
} from './runner.ts'

/**
 * For development: undoes the newest migration as it was applied and applies its file as it is now, or only
 * applies pending migrations. Deletes the data in its tables. Refuses a migration that is released, i.e. in a
 * tag of the repository.
 */
export async function pushNewest(options: MigrateOptions): Promise<MigrateResult> {
  const files = await readMigrationFiles(options.directory)
  const undone = await withMigrationLock(options, async (client, log) => {
    await ensureLedger(client)
    const applied = await readAppliedMigrations(client)
    const newest = applied.at(-1)
    refuseOtherProblems(files, applied)
    const isPending = files.some(file => !applied.some(row => row.name === file.name))
    const file = files.find(candidate => candidate.name === newest?.name)
    if (!newest || (isPending && file?.checksum === newest.checksum)) return []
    await refuseReleased(newest.name, options.directory)
    const source = await readAppliedSource(client, newest.name)
    const run: Run = { client, url: options.url, log, batch: nextBatch(applied) }
    await runStep(run, { direction: 'down', file: parseMigration(newest.name, source ?? '') }, applied)
    return [newest.name]
  })
  const { applied } = await migrateToLatest(options)
  return { applied, undone }
}

/** Only the newest migration may be edited or renamed. */
function refuseOtherProblems(files: MigrationFile[], applied: AppliedMigration[]): void {
  const others = historyProblems(files, applied.slice(0, -1))
  if (others.length === 0) return
  throw new MigrationError(
    others[0]?.code ?? 'edited',
    `db:push can only replace the newest migration:\n${others.map(problem => problem.message).join('\n')}`,
  )
}

async function refuseReleased(name: string, directory = defaultDirectory): Promise<void> {
  const git = (...args: string[]) => promisify(execFile)('git', ['-C', directory, ...args]).catch(() => null)
  const tag = (await git('describe', '--tags', '--abbrev=0'))?.stdout.trim()
  if (!tag) return
  const listed = await git('ls-tree', '--name-only', tag, `${name}.sql`)
  if (!listed?.stdout.trim()) return
  throw new MigrationError(
    'released',
    `${name} is released (${tag} has it): restore it and put the change in a new migration`,
  )
}

/** For development: drops everything in the database and applies all migrations. Needs no down parts. */
export async function rebuild(options: MigrateOptions): Promise<{ applied: string[] }> {
  await readMigrationFiles(options.directory)
  await withMigrationLock(options, async client => {
    await prepareSession(client)
    await client.query('begin')
    const { rows } = await client.query<{ statement: string }>(dropEverything)
    for (const { statement } of rows) await client.query(statement)
    await client.query('commit')
  })
  return migrateToLatest(options)
}

/** Drops everything that the owner owns; empties the schema public but keeps it. */
const dropEverything = `
  select 'drop extension if exists ' || quote_ident(extname) || ' cascade' as statement
  from pg_catalog.pg_extension
  where extname <> 'plpgsql' and pg_has_role(extowner, 'usage')
  union all
  select 'drop schema if exists ' || quote_ident(nspname) || ' cascade'
  from pg_catalog.pg_namespace
  where nspname !~ '^pg_' and nspname not in ('public', 'information_schema') and pg_has_role(nspowner, 'usage')
  union all
  select format('drop %s if exists public.%I cascade', case relkind when 'v' then 'view' when 'm' then 'materialized view'
    when 'S' then 'sequence' else 'table' end, relname)
  from pg_catalog.pg_class
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S') and pg_has_role(relowner, 'usage')
  union all
  select format('drop routine if exists public.%I(%s) cascade', proname, pg_get_function_identity_arguments(oid))
  from pg_catalog.pg_proc
  where pronamespace = 'public'::regnamespace and pg_has_role(proowner, 'usage')
  union all
  select format('drop type if exists public.%I cascade', typname)
  from pg_catalog.pg_type
  where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r') and pg_has_role(typowner, 'usage')
`
