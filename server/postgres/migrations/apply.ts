import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { LOGINS } from '../login-names.ts'
import { settleOwnerSession } from '../session-settings.ts'
import { connectOwner } from './connect.ts'
import { asPostgresFailure, MigrationError } from './errors.ts'
import { explainStatementFailure } from './failure.ts'
import { grantLedger, removeEntry, writeEntry } from './ledger.ts'
import type { Step } from './plan.ts'
import type { Statement } from './statements.ts'

/** The context of a run, shared by its files. */
export interface Run {
  client: Client
  /** The database's URL, to ask on another connection what a statement waits for. */
  url: string
  log: (line: string) => void
  batch: number
}

/**
 * Resets the session before each file: settings of an earlier file or of the owner's role would change the
 * meaning of unqualified names. If the client is gone, the server notices within a second and rolls back.
 */
export async function prepareSession(client: Client): Promise<void> {
  await client.query(`
    reset session authorization;
    reset role;
    reset all;
    set search_path = public;
    set client_min_messages = warning;
  `)
  await settleOwnerSession(client)
  // Not every platform supports this setting.
  await client.query("set client_connection_check_interval = '1s'").catch(() => undefined)
}

/** Applies or undoes one file and its row in the ledger, in one transaction. */
export function runInTransaction(run: Run, step: Step): Promise<void> {
  return retryDeadlocks(run, () => tryInTransaction(run, step))
}

const MAX_ATTEMPTS = 5

/**
 * Repeats the work if Postgres ended it for a deadlock: running servers take locks in another order. The work
 * is a transaction, so a failed attempt changed nothing.
 */
export async function retryDeadlocks(run: Pick<Run, 'log'>, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const cause = error instanceof MigrationError ? error.cause : error
      if (asPostgresFailure(cause)?.code !== '40P01' || attempt === MAX_ATTEMPTS) throw error
      run.log(
        `${error instanceof Error ? error.message : error}\nretrying, attempt ${attempt + 1} of ${MAX_ATTEMPTS}`,
      )
      await sleep(attempt * (100 + Math.random() * 200))
    }
  }
}

async function tryInTransaction(run: Run, step: Step): Promise<void> {
  const { client } = run
  const { file, direction } = step
  await prepareSession(client)
  const startedAt = performance.now()
  const progress = { statement: { text: '', line: 1 } as Statement }
  const stopWatching = reportProgress(run, step, progress)
  const leftBehind = `the transaction of ${file.name} was rolled back`
  try {
    await client.query('begin')
    await runStatements(run, step, progress)
    await recordStep(run, step, Math.round(performance.now() - startedAt))
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw explainStatementFailure(error, { file, statement: progress.statement, leftBehind })
  } finally {
    stopWatching()
  }
  logDone(run, direction, file.name, performance.now() - startedAt)
}

/** Runs the statements of one part in the caller's transaction. */
export async function runStatements(
  run: Run,
  { file, direction }: Step,
  progress: { statement: Statement },
): Promise<void> {
  const before = await loginsOf(run.client)
  for (const statement of file[direction].statements) {
    progress.statement = statement
    await run.client.query(statement.text)
  }
  if (before.length === LOGINS.length) return
  // A login without a password may not log in yet, which distinguishes it from one whose password is in use.
  for (const login of await loginsOf(run.client)) {
    if (!before.includes(login)) await run.client.query(`alter role ${login} nologin`)
  }
}

async function loginsOf(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select rolname::text as name from pg_catalog.pg_roles where rolname = any ($1)',
    [[...LOGINS]],
  )
  return rows.map(({ name }) => name)
}

/** Writes or deletes the ledger's row, whatever role and settings the file has left. */
export async function recordStep(run: Run, { file, direction }: Step, durationMs: number): Promise<void> {
  await run.client.query(
    'reset session authorization; reset role; set search_path = public; set statement_timeout = 0',
  )
  if (direction === 'down') return removeEntry(run.client, file.name)
  await writeEntry(run.client, {
    name: file.name,
    checksum: file.checksum,
    source: file.source,
    batch: run.batch,
    durationMs,
    state: 'applied',
    statementsDone: file.up.statements.length,
  })
  await grantLedger(run.client)
}

export function logDone(run: Run, direction: 'up' | 'down', name: string, durationMs: number): void {
  run.log(`${direction === 'up' ? 'applied' : 'undid'} ${name} in ${formatDuration(durationMs)}`)
}

function formatDuration(durationMs: number): string {
  return durationMs < 10_000 ? `${Math.round(durationMs)} ms` : `${(durationMs / 1000).toFixed(1)} s`
}

const PROGRESS_INTERVAL_MS = 5_000

/**
 * Prints every few seconds which statement a long file is at, and which sessions hold the lock that it waits
 * for.
 */
export function reportProgress(run: Run, step: Step, progress: { statement: Statement }): () => void {
  const startedAt = performance.now()
  const timer = setInterval(() => {
    const { path } = step.file
    const { line } = progress.statement
    const duration = formatDuration(performance.now() - startedAt)
    void describeBlockers(run).then(blockers =>
      run.log(`still at ${path}:${line}, ${duration} so far${blockers}`),
    )
  }, PROGRESS_INTERVAL_MS)
  return () => clearInterval(timer)
}

/**
 * Describes what the statement waits for, to follow its place in a message; empty if it does not wait or if
 * that is unknown.
 */
async function describeBlockers({ client, url }: Run): Promise<string> {
  try {
    const watcher = await connectOwner(url)
    try {
      const { rows } = await watcher.query<{ pid: number; role: string }>(
        `select pid, usename::text as role from pg_catalog.pg_stat_activity
         where pid = any (pg_catalog.pg_blocking_pids($1)) order by pid`,
        [(client as Client & { processID: number }).processID],
      )
      const sessions = rows.map(({ pid, role }) => `pid ${pid} of ${role}`)
      return sessions.length === 0 ? '' : `: waiting for a lock held by ${sessions.join(', ')}`
    } finally {
      await watcher.end()
    }
  } catch {
    return ''
  }
}
