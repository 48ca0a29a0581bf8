import { generateFiles, staleFiles, writeFiles } from '#server/postgres/migrations/codegen.ts'
import { connectOwner } from '#server/postgres/migrations/connect.ts'
import { createMigrationFile, readMigrationFiles } from '#server/postgres/migrations/file.ts'
import { type HistoryProblem, historyProblems } from '#server/postgres/migrations/history.ts'
import { readAppliedMigrations } from '#server/postgres/migrations/ledger.ts'
import type { Target } from '#server/postgres/migrations/plan.ts'
import { dryRun, migrate } from '#server/postgres/migrations/runner.ts'
import { verify } from '#server/postgres/migrations/verify.ts'
import { CheckFailed, type Output } from './output.ts'
import type { OwnerDatabase } from './owner.ts'

/** The database, the files and the output of one command. */
export interface Task {
  database: OwnerDatabase
  output: Output
  directory?: string
  typesFile?: string
  signal: AbortSignal
}

/** Migrates the database to the target; with `isDryRun` only shows the statements that would run. */
export async function move(task: Task, target: Target, isDryRun: boolean): Promise<void> {
  const { database, output, directory, signal } = task
  const options = { url: database.url, directory, log: output.log, signal }
  if (isDryRun) {
    const steps = await dryRun(options, target)
    const names = (direction: 'up' | 'down') =>
      steps.filter(step => step.direction === direction).map(step => step.name)
    const lines = steps.flatMap(step => [`-- ${step.direction} ${step.name}`, step.sql, ''])
    const end =
      steps.length === 0
        ? 'nothing to do'
        : `-- dry run: ran in a transaction that was rolled back; nothing was changed`
    output.done({ dryRun: true, applied: names('up'), undone: names('down'), steps }, [...lines, end])
    return
  }
  if (target.kind === 'next' || target.kind === 'latest') await database.beforeUp()
  const { applied, undone } = await migrate(options, target)
  // Also when nothing was pending: AUTH_SECRET may have changed.
  if (applied.length > 0 || target.kind === 'next' || target.kind === 'latest') await database.afterUp()
  const parts = [
    applied.length > 0 && `applied ${count(applied.length)}`,
    undone.length > 0 && `undid ${count(undone.length)}`,
  ].filter(part => part !== false)
  output.done({ dryRun: false, applied, undone }, [parts.join(', ') || 'nothing to do'])
}

/**
 * Sets the logins' right to connect and their passwords; `isReset` also replaces passwords that are in use.
 */
export async function setLogins({ database, output }: Task, isReset: boolean): Promise<void> {
  if (isReset) await database.resetLogins()
  else await database.afterUp()
  output.done({ reset: isReset }, [
    isReset
      ? "set the logins' passwords derived from AUTH_SECRET; restart every server that uses another AUTH_SECRET"
      : 'the logins have the passwords derived from AUTH_SECRET',
  ])
}

/** Prints every migration with its state. */
export async function list(task: Task): Promise<void> {
  const { migrations, problems } = await readState(task)
  const width = Math.max(0, ...migrations.map(migration => migration.name.length))
  const lines = migrations.map(({ name, state, appliedAt, durationMs, batch }) => {
    const when = appliedAt ? `  ${appliedAt.toISOString()}  batch ${batch}, ${durationMs} ms` : ''
    return `${name.padEnd(width)}  ${state}${when}`
  })
  task.output.done({ migrations, problems }, [...lines, `found ${count(migrations.length)}`])
}

/**
 * Prints the version of the database; fails if files were edited, are missing, or were added out of order.
 */
export async function status(task: Task): Promise<void> {
  const result = await readStatus(task)
  const lines = statusLines(task, result)
  if (result.problems.length > 0) {
    throw new CheckFailed([...lines, ...result.problems.map(problem => problem.message)].join('\n'), result)
  }
  task.output.done(result, lines)
}

export interface MigrationStatus {
  /** The newest migration that is applied. */
  current: string | null
  /** The newest file. */
  newest: string | null
  applied: number
  pending: string[]
  halfWay: { name: string; state: string }[]
  problems: HistoryProblem[]
}

export async function readStatus(task: Task): Promise<MigrationStatus> {
  const { migrations, problems, applied } = await readState(task)
  return {
    current: applied.at(-1)?.name ?? null,
    newest: migrations.at(-1)?.name ?? null,
    applied: applied.length,
    pending: migrations.filter(({ state }) => state === 'pending').map(({ name }) => name),
    halfWay: migrations
      .filter(({ state }) => state === 'applying' || state === 'reverting')
      .map(({ name, state }) => ({ name, state })),
    problems,
  }
}

export function statusLines(
  { database }: Task,
  { current, newest, pending, halfWay }: MigrationStatus,
): string[] {
  return [
    `database  ${database.label}`,
    `at        ${current ?? 'nothing'}${pending.length + halfWay.length === 0 ? ', up to date' : ''}`,
    `files     up to ${newest ?? 'nothing'}`,
    ...pending.map(name => `pending   ${name}`),
    ...halfWay.map(({ name, state }) => `partial   ${name} (${state})`),
  ]
}

interface ListedMigration {
  name: string
  state: 'applied' | 'pending' | 'applying' | 'reverting' | HistoryProblem['code']
  appliedAt: Date | null
  durationMs: number | null
  batch: number | null
}

async function readState({ database, directory }: Task) {
  const files = await readMigrationFiles(directory)
  const client = await connectOwner(database.url)
  try {
    const rows = await readAppliedMigrations(client)
    const problems = historyProblems(files, rows)
    const applied = rows.filter(row => row.state === 'applied')
    const names = new Set([...files, ...rows].map(({ name }) => name))
    const migrations = [...names]
      .sort((left, right) => Number.parseInt(left, 10) - Number.parseInt(right, 10))
      .map((name): ListedMigration => {
        const row = rows.find(candidate => candidate.name === name)
        const problem = problems.find(candidate => candidate.name === name)
        return {
          name,
          state: problem?.code ?? row?.state ?? 'pending',
          appliedAt: row?.appliedAt ?? null,
          durationMs: row?.durationMs ?? null,
          batch: row?.batch ?? null,
        }
      })
    return { migrations, problems, applied }
  } finally {
    await client.end()
  }
}

/** Writes an empty migration file. Needs no database. */
export async function create(output: Output, name: string, directory?: string): Promise<void> {
  const path = await createMigrationFile(name, directory)
  output.done({ path }, [`created ${path}`])
}

/** Writes `schema.sql` and the types; `isCheck` only reports whether they are current. */
export async function codegen(task: Task, isCheck: boolean): Promise<void> {
  const { database, directory, typesFile, output, signal } = task
  const files = await generateFiles({ url: database.url, directory, typesFile, signal })
  if (!isCheck) {
    const written = await writeFiles(files)
    output.done({ written }, [written.length === 0 ? 'everything is current' : `wrote ${written.join(', ')}`])
    return
  }
  const stale = await staleFiles(files)
  if (stale.length === 0) return output.done({ stale }, ['the generated files are current'])
  const lines = stale.flatMap(({ path, lines: differing }) => [
    `${path} is not current`,
    ...differing.slice(0, 20).map(line => `  ${line}`),
  ])
  throw new CheckFailed([...lines, 'run npm run db:generate to write them'].join('\n'), { stale })
}

/** Builds the migrations in a scratch database and compares; prints one line per check. */
export async function verifyAll(task: Task): Promise<void> {
  const { database, directory, typesFile, output, signal } = task
  const checks = await verify({ url: database.url, directory, typesFile, signal })
  const lines = checks.flatMap(check => [
    `${check.ok ? 'ok    ' : 'FAILED'} ${check.message}`,
    ...check.problems.map(problem => `         ${problem}`),
  ])
  if (checks.every(check => check.ok)) return output.done({ checks }, lines)
  for (const line of lines) output.log(line)
  const failed = checks.filter(check => !check.ok).map(check => check.message)
  throw new CheckFailed(`verify failed: ${failed.join('; ')}`, { checks })
}

function count(migrations: number): string {
  return `${migrations} migration${migrations === 1 ? '' : 's'}`
}
