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
  /** One line per problem, with the object's name. */
  problems: string[]
}

/**
 * Builds the migrations in a scratch database and checks that every down part undoes its up part, that the
 * generated files are current, and that the live database matches its applied migrations.
 */
export async function verify(options: CodegenOptions): Promise<Check[]> {
  const files = await readMigrationFiles(options.directory)
  const live = await readLive(options.url)
  const problems = historyProblems(files, live.applied)
  const history: Check = {
    name: 'files',
    ok: problems.length === 0,
    message:
      problems.length === 0 ? 'the files are the applied ones' : 'the files differ from the applied ones',
    problems: problems.map(problem => problem.message),
  }
  return withScratchDatabase(options.url, async url => {
    const scratch = { ...options, url, log: undefined }
    const checks: Check[] = [history]
    const newest = live.applied.findLast(row => row.state === 'applied')
    let stages: CatalogEntry[][]
    try {
      stages = await buildStages(scratch)
    } catch (error) {
      // A missing file can prevent later ones from building: report only the missing file.
      if (history.ok || !(error instanceof MigrationError)) throw error
      return [{ ...history, problems: [...history.problems, error.message] }]
    }
    const atNewest = stages[files.findIndex(({ name }) => name === newest?.name) + 1] ?? []
    const database = newest && history.ok ? await checkLive(live, newest, atNewest) : null
    const stale = await staleFiles(await filesFrom(url, scratch))
    checks.push(await checkUndo(scratch, files, stages), {
      name: 'generated',
      ok: stale.length === 0,
      message:
        stale.length === 0
          ? 'the generated files are current'
          : 'the generated files are not current: run npm run db:generate',
      problems: stale.flatMap(({ path, lines }) => [
        `${path} is not current`,
        ...lines.slice(0, 6).map(line => `  ${line}`),
      ]),
    })
    return database ? [...checks, database] : checks
  })
}

/**
 * Checks only the live database; null if no migration is applied, or if the files differ from the applied
 * ones.
 */
export async function checkDrift(options: CodegenOptions): Promise<Check | null> {
  const files = await readMigrationFiles(options.directory)
  const live = await readLive(options.url)
  const newest = live.applied.findLast(row => row.state === 'applied')
  if (!newest || historyProblems(files, live.applied).length > 0) return null
  return withScratchDatabase(options.url, async url => {
    await migrate({ ...options, url, log: undefined }, { kind: 'to', name: newest.name })
    return checkLive(live, newest, await catalogAt(url))
  })
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

/** Compares the live database with its newest applied migration. */
async function checkLive(live: Live, newest: AppliedMigration, expected: CatalogEntry[]): Promise<Check> {
  const differences = compareCatalogs(expected, await live.read(schemasOf(expected)))
  return {
    name: 'database',
    ok: differences.length === 0,
    message:
      differences.length === 0
        ? `the database matches the migrations up to ${newest.name}`
        : `the database differs from the migrations up to ${newest.name}`,
    problems: differences.flatMap(describeDifference),
  }
}

/**
 * Applies the migrations one by one; returns the scratch database's catalog before each of them and at the
 * end.
 */
async function buildStages(scratch: CodegenOptions): Promise<CatalogEntry[][]> {
  const stages: CatalogEntry[][] = []
  let applied: string[]
  do {
    stages.push(await catalogAt(scratch.url))
    applied = (await migrate(scratch, { kind: 'next' })).applied
  } while (applied.length > 0)
  return stages
}

/** Undoes all migrations in the scratch database one by one, and applies them again. */
async function checkUndo(
  scratch: CodegenOptions,
  files: MigrationFile[],
  stages: CatalogEntry[][],
): Promise<Check> {
  const problems: string[] = []
  try {
    for await (const problem of undoStages(scratch, files, stages)) problems.push(problem)
    const left = await catalogAt(scratch.url)
    problems.unshift(...left.map(entry => `${entry.object} is left after everything was undone`))
    await migrate(scratch, { kind: 'latest' })
    problems.push(
      ...compareCatalogs(stages.at(-1) ?? [], await catalogAt(scratch.url)).flatMap(describeDifference),
    )
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error
    problems.push(error.message)
  }
  const ok = problems.length === 0
  const count = `${files.length} migration${files.length === 1 ? '' : 's'}`
  return {
    name: 'undo',
    ok,
    message: ok
      ? `${count}: up, down one by one and up again gives the same schema`
      : 'down does not undo up',
    problems,
  }
}

/**
 * Undoes all migrations, and yields the objects that the newest wrong down part does not restore. The final
 * state does not show them: earlier down parts drop what was restored wrongly.
 */
async function* undoStages(
  scratch: CodegenOptions,
  files: MigrationFile[],
  stages: CatalogEntry[][],
): AsyncGenerator<string, void, undefined> {
  let isAlike = true
  for (const [index, { name }] of [...files.entries()].reverse()) {
    await migrate(scratch, { kind: 'previous' })
    if (!isAlike) continue
    const differences = compareCatalogs(stages[index] ?? [], await catalogAt(scratch.url))
    if (differences.length === 0) continue
    isAlike = false
    yield `${name} does not undo what it did:`
    yield* differences.flatMap(describeDifference)
  }
}

function describeDifference({ object, kind, lines }: CatalogDifference): string[] {
  const words = { missing: 'is missing', unexpected: 'is in no migration', different: 'is different' }
  return [`${object} ${words[kind]}`, ...lines.slice(0, 12).map(line => `  ${line}`)]
}
