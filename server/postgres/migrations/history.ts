import { MigrationError } from './errors.ts'
import { byNumber, type MigrationFile } from './file.ts'
import type { AppliedMigration } from './ledger.ts'

export interface HistoryProblem {
  code: 'other_migrations' | 'edited' | 'missing' | 'out_of_order' | 'half_reverted'
  name: string
  message: string
}

/** Returns every difference between the files and the applied migrations. */
export function historyProblems(files: MigrationFile[], applied: AppliedMigration[]): HistoryProblem[] {
  const foreign = madeByOthers(files, applied)
  if (foreign) return [foreign]
  const problems: HistoryProblem[] = []
  const fileOf = new Map(files.map(file => [file.name, file]))
  const appliedNames = new Set(applied.map(row => row.name))
  for (const row of applied) {
    const file = fileOf.get(row.name)
    if (!file) {
      problems.push({
        code: 'missing',
        name: row.name,
        message: `${row.name} is applied, but its file ${row.name}.sql is missing: restore the file`,
      })
    } else if (row.state === 'applied' && row.checksum !== file.checksum) {
      problems.push({
        code: 'edited',
        name: row.name,
        message: `${file.path} was edited after it was applied: restore it and put the change in a new migration`,
      })
    }
  }
  const newest = applied.at(-1)
  for (const file of files) {
    if (newest && !appliedNames.has(file.name) && byNumber(file.name, newest.name) < 0) {
      problems.push({
        code: 'out_of_order',
        name: file.name,
        message: `${file.path} is new and sorts before ${newest.name}, which is applied: give it a higher number`,
      })
    }
  }
  return problems
}

/** The problem of a database that was migrated before the files were rewritten. */
function madeByOthers(
  files: readonly ExpectedMigration[],
  applied: AppliedMigration[],
): HistoryProblem | undefined {
  const names = new Set(files.map(file => file.name))
  const newest = applied.at(-1)
  if (!newest || applied.some(row => names.has(row.name))) return undefined
  return {
    code: 'other_migrations',
    name: newest.name,
    message:
      `the database has ${applied.length} applied migrations that are not among the files, the last one ${newest.name}: ` +
      'create a new database with npx kysely-migrate up --latest, and copy the rows into it with pg_dump --data-only, ' +
      'as docs/operating.md says under "Migrations"',
  }
}

/** Throws one error that names every mismatched file. */
export function refuseBadHistory(files: MigrationFile[], applied: AppliedMigration[]): void {
  const problems = historyProblems(files, applied)
  const [first] = problems
  if (!first) return
  throw new MigrationError(first.code, problems.map(problem => problem.message).join('\n'), {
    file: `${first.name}.sql`,
  })
}

/** A migration that a serving process expects in the database. */
export interface ExpectedMigration {
  name: string
  checksum: string
}

/**
 * Returns why this code must not serve from that database, and the command that repairs it; null if it may.
 */
export function schemaProblem(applied: AppliedMigration[], expected: ExpectedMigration[]): string | null {
  const foreign = madeByOthers(expected, applied)
  if (foreign) return foreign.message
  const done = applied.filter(row => row.state === 'applied')
  const half = applied.find(row => row.state !== 'applied')
  const at = done.at(-1)?.name ?? 'nothing'
  const wanted = expected.at(-1)?.name ?? 'nothing'
  const byName = new Map(done.map(row => [row.name, row.checksum]))
  const pending = expected.filter(migration => !byName.has(migration.name))
  if (half) {
    return `migration ${half.name} is incomplete (${half.state}); run npx kysely-migrate ${half.state === 'applying' ? 'up --latest' : 'down'}`
  }
  if (pending.length > 0) {
    return `the database is at ${at}, the code expects ${wanted}; run npx kysely-migrate up --latest`
  }
  const known = new Set(expected.map(migration => migration.name))
  const unknown = done.find(row => !known.has(row.name))
  if (unknown) {
    return `the database is at ${at}, the code expects ${wanted}; deploy the code that has ${unknown.name}.sql, or undo it there with npx kysely-migrate down`
  }
  const edited = expected.find(migration => byName.get(migration.name) !== migration.checksum)
  if (edited) {
    return `${edited.name}.sql differs from the file that was applied to the database; restore it, then run npx kysely-migrate status`
  }
  return null
}
