import type { Client } from 'pg'
import {
  prepareSession,
  type Run,
  recordStep,
  reportProgress,
  retryDeadlocks,
  runInTransaction,
  runStatements,
} from './apply.ts'
import { runStepwise } from './apply-stepwise.ts'
import { connectOwner } from './connect.ts'
import { MigrationError } from './errors.ts'
import { explainStatementFailure } from './failure.ts'
import { defaultDirectory, readMigrationFiles } from './file.ts'
import { type ExpectedMigration, refuseBadHistory, schemaProblem } from './history.ts'
import { type AppliedMigration, ensureLedger, readAppliedMigrations } from './ledger.ts'
import { releaseMigrationLock, takeMigrationLock } from './lock.ts'
import { planSteps, type Step, type Target } from './plan.ts'

export { type AppliedMigration, type ExpectedMigration, readAppliedMigrations, schemaProblem }

export interface MigrateOptions {
  /** The owner's direct URL: a pooler would share the session that holds the lock. */
  url: string
  directory?: string
  log?: (line: string) => void
  /** Aborting it closes the connection; Postgres then rolls back the open file. */
  signal?: AbortSignal
}

export interface MigrateResult {
  applied: string[]
  undone: string[]
}

/**
 * Applies all pending migrations. Waits for another runner; if two run at once, each migration is applied
 * once.
 */
export async function migrateToLatest(options: MigrateOptions): Promise<{ applied: string[] }> {
  const { applied } = await migrate(options, { kind: 'latest' })
  return { applied }
}

/** The migrations that come with this code. */
export async function expectedMigrations(directory = defaultDirectory): Promise<ExpectedMigration[]> {
  const files = await readMigrationFiles(directory)
  return files.map(({ name, checksum }) => ({ name, checksum }))
}

/** Migrates the database to the target, one file at a time; files before a failing one stay applied. */
export async function migrate(options: MigrateOptions, target: Target): Promise<MigrateResult> {
  const files = await readMigrationFiles(options.directory)
  return withMigrationLock(options, async (client, log) => {
    await ensureLedger(client)
    const applied = await readAppliedMigrations(client)
    refuseBadHistory(files, applied)
    const run: Run = { client, url: options.url, log, batch: nextBatch(applied) }
    const result: MigrateResult = { applied: [], undone: [] }
    for (const step of planSteps(files, applied, target)) {
      await runStep(run, step, applied)
      result[step.direction === 'up' ? 'applied' : 'undone'].push(step.file.name)
    }
    return result
  })
}

export async function runStep(run: Run, step: Step, applied: AppliedMigration[]): Promise<void> {
  if (step.file.isTransactional) return runInTransaction(run, step)
  const row = applied.find(({ name }) => name === step.file.name)
  return runStepwise(run, step, row)
}

export interface DryRun {
  direction: 'up' | 'down'
  name: string
  sql: string
}

/**
 * Runs the steps in one transaction, rolls it back, and returns their SQL. Holds the statements' locks while
 * it runs. Throws before anything runs if a file opts out of the transaction.
 */
export async function dryRun(options: MigrateOptions, target: Target): Promise<DryRun[]> {
  const files = await readMigrationFiles(options.directory)
  return withMigrationLock(options, async (client, log) => {
    const applied = await readAppliedMigrations(client)
    refuseBadHistory(files, applied)
    const steps = planSteps(files, applied, target)
    const alone = steps.find(step => !step.file.isTransactional)
    if (alone) {
      throw new MigrationError(
        'no_dry_run',
        `${alone.file.path} has "-- rowhouse: no transaction", so it can not be dry run; nothing was run`,
        { file: alone.file.path },
      )
    }
    const run: Run = { client, url: options.url, log, batch: nextBatch(applied) }
    await prepareSession(client)
    await retryDeadlocks(run, async () => {
      await client.query('begin')
      try {
        await ensureLedger(client)
        for (const step of steps) await tryStep(run, step)
      } finally {
        await client.query('rollback').catch(() => undefined)
      }
    })
    return steps.map(({ direction, file }) => ({ direction, name: file.name, sql: file[direction].text }))
  })
}

async function tryStep(run: Run, step: Step): Promise<void> {
  const progress = { statement: { text: '', line: 1 } }
  const stopWatching = reportProgress(run, step, progress)
  try {
    await runStatements(run, step, progress)
    // Checks deferred constraints, as a commit would.
    await run.client.query('set constraints all immediate; set search_path = public')
    await recordStep(run, step, 0)
  } catch (error) {
    const leftBehind = 'the dry run was rolled back'
    throw explainStatementFailure(error, { file: step.file, statement: progress.statement, leftBehind })
  } finally {
    stopWatching()
  }
}

export function nextBatch(applied: AppliedMigration[]): number {
  return Math.max(0, ...applied.map(row => row.batch)) + 1
}

/** Runs `work` on a connection that holds the lock of migrations. */
export async function withMigrationLock<Result>(
  options: MigrateOptions,
  work: (client: Client, log: (line: string) => void) => Promise<Result>,
): Promise<Result> {
  const { url, signal, log = () => undefined } = options
  const client = await connectOwner(url)
  const abandon = () => void client.end().catch(() => undefined)
  signal?.addEventListener('abort', abandon)
  try {
    signal?.throwIfAborted()
    await takeMigrationLock(client, log)
    const result = await work(client, log)
    await releaseMigrationLock(client)
    return result
  } catch (error) {
    if (!signal?.aborted) throw error
    throw new MigrationError('interrupted', `interrupted; ${firstLineAfter(error)}`, { cause: error })
  } finally {
    signal?.removeEventListener('abort', abandon)
    await client.end().catch(() => undefined)
  }
}

function firstLineAfter(error: unknown): string {
  return error instanceof MigrationError
    ? (error.message.split('; ').at(-1) ?? error.message)
    : 'no file was partly applied'
}

export type { Target }
