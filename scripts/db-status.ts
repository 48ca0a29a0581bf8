import { Command } from 'commander'
import { readServerStatus } from '#server/postgres/migrations/connections.ts'
import { erasureLines, readErasures } from '#server/postgres/migrations/erasures.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import { type Check, checkDrift } from '#server/postgres/migrations/verify.ts'
import { readStatus, statusLines, type Task } from './migrate/commands.ts'
import { CheckFailed, createOutput, type OutputOptions } from './migrate/output.ts'
import { openOwnerDatabase } from './migrate/owner.ts'
import { runWhenMain } from './migrate/run.ts'

interface StatusOptions extends OutputOptions {
  url?: string
  directory?: string
}

/** `npm run db:status`: versions, drift, connections and removals in progress. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('db:status')
    .description(
      'Prints the version of the database, whether it differs from its migrations, the connections, and the progress of removals.',
    )
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout')
    .option('--directory <path>', 'the directory of the migrations (default: migrations/)')
    .action(async ({ url, directory, ...outputOptions }: StatusOptions) => {
      const output = createOutput(outputOptions)
      const database = await openOwnerDatabase({ url, log: output.log })
      try {
        await report({ database, output, directory, signal })
      } finally {
        await database.close()
      }
    })
}

async function report(task: Task): Promise<void> {
  const server = await readServerStatus(task.database.url)
  const migrations = await readStatus(task)
  const drift = await readDrift(task)
  const erasures = await readErasures(task.database.url)
  const result = { database: task.database.label, server, migrations, drift, erasures }
  const total = server.connections.reduce((sum, { active, idle }) => sum + active + idle, 0)
  const lines = [
    ...statusLines(task, migrations),
    `server    PostgreSQL ${server.version}, ${server.latencyMs} ms per round trip`,
    `drift     ${drift.message}`,
    ...drift.problems.map(problem => `          ${problem}`),
    `connected ${total} of ${server.maxConnections}`,
    ...server.connections.map(
      ({ role, active, idle }) => `          ${role}: ${active} active, ${idle} idle`,
    ),
    ...erasureLines(erasures),
  ]
  const problems = migrations.problems.map(problem => problem.message)
  if (problems.length === 0 && drift.ok !== false) return task.output.done(result, lines)
  throw new CheckFailed([...lines, ...problems].join('\n'), result)
}

interface Drift {
  /** Null if the check could not run. */
  ok: boolean | null
  message: string
  problems: string[]
}

async function readDrift({ database, directory, signal }: Task): Promise<Drift> {
  try {
    const check: Check | null = await checkDrift({ url: database.url, directory, signal })
    if (!check)
      return {
        ok: null,
        message: 'not checked: no migration is applied, or the files differ from the applied ones',
        problems: [],
      }
    return { ok: check.ok, message: check.ok ? 'none' : check.message, problems: check.problems }
  } catch (error) {
    if (!(error instanceof MigrationError) || signal.aborted) throw error
    return { ok: null, message: `not checked: ${error.message}`, problems: [] }
  }
}

await runWhenMain(import.meta.url, createProgram)
