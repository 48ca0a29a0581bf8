import {
  type CatalogDifference,
  type CatalogEntry,
  compareCatalogs,
  readCatalog,
  schemasOf,
} from './catalog.ts'
import { type CodegenOptions, filesFrom, staleFiles } from './codegen.ts'
import { connectOwner } from './connect.ts'
import { MigrationError } from './errors.ts'
import { type MigrationFile, readMigrationFiles } from './file.ts'
import { historyProblems } from './history.ts'
import { type AppliedMigration, readAppliedMigrations } from './ledger.ts'
import { migrate } from './runner.ts'
import { withScratchDatabase } from './scratch.ts'

export interface Check {
  name: 'files' | 'undo' | 'generated' | 'database'
  ok: boolean
  message: string
  /** One line a thing that is wrong, named. */
  problems: string[]
}

/**
 * Builds the migrations in a scratch database and checks that every down part undoes its up part, that what is
 * generated is current, and that the live database, as far as it is migrated, is what the migrations make.
 */
export async function verify(options: CodegenOptions): Promise<Check[]> {
  const files = await readMigrationFiles(options.directory)
  const live = await readLive(options.url)
  const problems = historyProblems(files, live.applied)
  const history: Check = {
    name: 'files',
    ok: problems.length === 0,
    message:
      problems.length === 0
        ? 'the files are those that were applied'
        : 'the files are not those that were applied',
    problems: problems.map(problem => problem.message),
  }
  return withScratchDatabase(options.url, async url => {
    const scratch = { ...options, url, log: undefined }
    const checks: Check[] = [history]
    const newest = live.applied.findLast(row => row.state === 'applied')
    const database = newest && history.ok ? await checkLive(scratch, live, newest) : null
    try {
      await migrate(scratch, { kind: 'latest' })
    } catch (error) {
      // A missing file can keep those behind it from building: it is what to mend, and is named first.
      if (history.ok || !(error instanceof MigrationError)) throw error
      return [{ ...history, problems: [...history.problems, error.message] }]
    }
    const built = await catalogAt(url)
    const stale = await staleFiles(await filesFrom(url, scratch))
    checks.push(await checkUndo(scratch, files, built), {
      name: 'generated',
      ok: stale.length === 0,
      message:
        stale.length === 0
          ? 'schema.sql and the types are current'
          : 'what is generated is not current: run npm run db:generate',
      problems: stale.flatMap(({ path, lines }) => [
        `${path} is not current`,
        ...lines.slice(0, 6).map(line => `  ${line}`),
      ]),
    })
    return database ? [...checks, database] : checks
  })
}

/** The check of the live database alone; null when no migration is applied, or when the files are not those applied. */
export async function checkDrift(options: CodegenOptions): Promise<Check | null> {
  const files = await readMigrationFiles(options.directory)
  const live = await readLive(options.url)
  const newest = live.applied.findLast(row => row.state === 'applied')
  if (!newest || historyProblems(files, live.applied).length > 0) return null
  return withScratchDatabase(options.url, url => checkLive({ ...options, url, log: undefined }, live, newest))
}

interface Live {
  applied: AppliedMigration[]
  read: (schemas: string[]) => Promise<CatalogEntry[]>
}

async function readLive(url: string): Promise<Live> {
  const client = await connectOwner(url)
  try {
    return { applied: await readAppliedMigrations(client), read: schemas => catalogAt(url, schemas) }
  } finally {
    await client.end()
  }
}

async function catalogAt(url: string, schemas?: string[]): Promise<CatalogEntry[]> {
  const client = await connectOwner(url)
  try {
    return await readCatalog(client, schemas)
  } finally {
    await client.end()
  }
}

/** Compares the live database with the migrations up to the one it is at. */
async function checkLive(scratch: CodegenOptions, live: Live, newest: AppliedMigration): Promise<Check> {
  await migrate(scratch, { kind: 'to', name: newest.name })
  const expected = await catalogAt(scratch.url)
  const differences = compareCatalogs(expected, await live.read(schemasOf(expected)))
  return {
    name: 'database',
    ok: differences.length === 0,
    message:
      differences.length === 0
        ? `the database is what the migrations up to ${newest.name} make`
        : `the database has drifted from what the migrations up to ${newest.name} make`,
    problems: differences.flatMap(describeDifference),
  }
}

/** Undoes everything in the scratch database and builds it again. */
async function checkUndo(
  scratch: CodegenOptions,
  files: MigrationFile[],
  built: CatalogEntry[],
): Promise<Check> {
  const problems: string[] = []
  try {
    await migrate(scratch, { kind: 'nothing' })
    const left = await catalogAt(scratch.url)
    problems.push(...left.map(entry => `${entry.object} is left after everything was undone`))
    await migrate(scratch, { kind: 'latest' })
    problems.push(...compareCatalogs(built, await catalogAt(scratch.url)).flatMap(describeDifference))
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error
    problems.push(error.message)
  }
  const ok = problems.length === 0
  const count = `${files.length} migration${files.length === 1 ? '' : 's'}`
  return {
    name: 'undo',
    ok,
    message: ok ? `${count}: up, down to nothing and up again gives the same` : 'down does not undo up',
    problems,
  }
}

export function describeDifference({ object, kind, lines }: CatalogDifference): string[] {
  const words = { missing: 'is missing', unexpected: 'is in no migration', different: 'is different' }
  return [`${object} ${words[kind]}`, ...lines.slice(0, 12).map(line => `  ${line}`)]
}
