import { createHash } from 'node:crypto'
import { logDone, prepareSession, type Run, recordStep, reportProgress } from './apply.ts'
import { asPostgresFailure, MigrationError } from './errors.ts'
import { explainStatementFailure } from './failure.ts'
import type { MigrationFile } from './file.ts'
import { type AppliedMigration, writeEntry } from './ledger.ts'
import type { Step } from './plan.ts'
import type { Statement } from './statements.ts'

/**
 * Applies or undoes a file that opts out of the transaction, one statement after the other. After each
 * statement the ledger records the progress, so that a run that failed or was killed continues from there.
 */
export async function runStepwise(run: Run, step: Step, row: AppliedMigration | undefined): Promise<void> {
  const { client } = run
  const { file, direction } = step
  const { statements } = file[direction]
  await prepareSession(client)
  const startedAt = performance.now()
  const resumed = resumeAt(file, direction, row)
  const isResumed = resumed !== null
  let done = resumed ?? 0
  const progress = { statement: statements[done] ?? { text: '', line: 1 } }
  const stopWatching = reportProgress(run, step, progress)
  const record = (count: number) =>
    writeEntry(client, {
      name: file.name,
      checksum: checksumOf(statements.slice(0, count)),
      source: file.source,
      batch: direction === 'down' && row ? row.batch : run.batch,
      durationMs: Math.round(performance.now() - startedAt),
      state: direction === 'up' ? 'applying' : 'reverting',
      statementsDone: count,
    })
  try {
    if (isResumed) {
      run.log(`${file.name} was only partly ${participle(direction)}: continuing with statement ${done + 1}`)
      await dropInvalidIndexes(run, statements.slice(done))
    } else await record(0)
    for (const [index, statement] of statements.entries()) {
      if (index < done) continue
      progress.statement = statement
      if (runsAlone(statement.text)) {
        const mayBeDone = isResumed && index === resumed
        await runAlone(run, statement, mayBeDone)
        await record(index + 1)
      } else {
        await client.query('begin')
        await client.query(statement.text)
        await record(index + 1)
        await client.query('commit')
      }
      done = index + 1
    }
    await recordStep(run, step, Math.round(performance.now() - startedAt))
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    const leftBehind =
      `${file.name} has no transaction: ${done} of its ${statements.length} statements are ${participle(direction)} and stay; ` +
      `repair the cause and run ${direction} again: it continues with statement ${done + 1}`
    throw explainStatementFailure(error, { file, statement: progress.statement, leftBehind })
  } finally {
    stopWatching()
  }
  logDone(run, direction, file.name, performance.now() - startedAt)
}

const participle = (direction: 'up' | 'down') => (direction === 'up' ? 'applied' : 'undone')

/** How many statements an earlier run completed; null if none was started. */
function resumeAt(
  file: MigrationFile,
  direction: 'up' | 'down',
  row: AppliedMigration | undefined,
): number | null {
  const state = direction === 'up' ? 'applying' : 'reverting'
  if (row?.state !== state) return null
  const before = file[direction].statements.slice(0, row.statementsDone)
  if (checksumOf(before) === row.checksum) return row.statementsDone
  throw new MigrationError(
    'edited',
    `${file.path}: ${row.statementsDone} of its statements are ${participle(direction)} already and were edited since: ` +
      `restore them, and change only later statements`,
    { file: file.path },
  )
}

function checksumOf(statements: Statement[]): string {
  return createHash('sha256')
    .update(statements.map(statement => statement.text).join(';\n'))
    .digest('hex')
}

/** True for statements that Postgres refuses inside a transaction, or that may commit on their own. */
function runsAlone(text: string): boolean {
  const stripped = text.replace(/'(?:[^']|'')*'/g, "''")
  return (
    /\bconcurrently\b/i.test(stripped) ||
    /^(vacuum|cluster|reindex|call|do|(create|drop)\s+(database|tablespace|subscription)|alter\s+(system|subscription|type|database))\b/i.test(
      stripped,
    )
  )
}

/**
 * A killed run may have completed its last statement without recording it: its object then already exists (or
 * is gone), and the error of a repeated statement is ignored.
 */
async function runAlone(run: Run, statement: Statement, mayBeDone: boolean): Promise<void> {
  try {
    await run.client.query(statement.text)
  } catch (error) {
    const code = asPostgresFailure(error)?.code ?? ''
    const isThere = /^(create|alter)\b/i.test(statement.text) && ['42P07', '42710', '42701'].includes(code)
    const isGone = /^drop\b/i.test(statement.text) && ['42704', '42P01'].includes(code)
    if (!mayBeDone || !(isThere || isGone)) throw error
    run.log(`statement on line ${statement.line} was completed by an earlier run`)
  }
}

/** An interrupted `create index concurrently` leaves an invalid index that blocks its name: drops it. */
async function dropInvalidIndexes(run: Run, statements: Statement[]): Promise<void> {
  const names = statements.flatMap(statement => {
    const match =
      /^create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?"?([^\s"]+)"?\s+on\b/i.exec(
        statement.text,
      )
    return match?.[1] ? [match[1]] : []
  })
  if (names.length === 0) return
  const { rows } = await run.client.query<{ index: string }>(
    `select format('%I.%I', n.nspname, c.relname) as index
     from pg_catalog.pg_index i
     join pg_catalog.pg_class c on c.oid = i.indexrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where not i.indisvalid and c.relname = any ($1)`,
    [names],
  )
  for (const { index } of rows) {
    await run.client.query(`drop index concurrently ${index}`)
    run.log(`dropped ${index}, which an interrupted run left invalid`)
  }
}
