#!/usr/bin/env node
import { Command } from 'commander'
import { readMigrationFiles } from '#server/postgres/migrations/file.ts'
import type { Target } from '#server/postgres/migrations/plan.ts'
import { chooseMigration } from './migrate/choose.ts'
import { codegen, create, list, move, setLogins, status, type Task, verifyAll } from './migrate/commands.ts'
import { createOutput, type OutputOptions } from './migrate/output.ts'
import { openOwnerDatabase } from './migrate/owner.ts'
import { runWhenMain } from './migrate/run.ts'

interface GlobalOptions extends OutputOptions {
  url?: string
  directory?: string
  types?: string
}

const help = `
Which database: --url, else DIRECT_URL, else DATABASE_URL, else the embedded Postgres in DATA_DIR, which is started for the
command when it is not running. It must be a direct connection as the owner, not a pooler.

One command at a time changes a database: another one waits, and says for which pid. Every file runs in a transaction of its
own together with its record, unless it says "-- rowhouse: no transaction"; then its statements run one by one, and a run that
failed or was killed goes on where it ended. A file that was edited or is missing after it was applied is refused by name.

Exit code: 0 when everything worked, 1 when something failed, 2 when the command was not understood.`

/** Builds the command line; `signal` ends a running command and rolls its open file back. */
export function createProgram(signal: AbortSignal): Command {
  const program = new Command('kysely-migrate')
    .description('Applies, undoes, creates and checks the SQL files in migrations/.')
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout, errors included; progress goes to stderr')
    .option('-s, --silent', 'print nothing but errors')
    .option('--directory <path>', 'the directory of the migrations (default: migrations/)')
    .option('--types <path>', 'the file of the generated types (default: server/db/types.ts)')
    .addHelpText('after', help)
    .showHelpAfterError('run with --help to see the commands')
    .configureHelp({ showGlobalOptions: true })

  const globals = () => program.opts<GlobalOptions>()
  const withDatabase = async (work: (task: Task) => Promise<void>) => {
    const { url, directory, types } = globals()
    const output = createOutput(globals())
    const database = await openOwnerDatabase({ url, log: output.log })
    try {
      await work({ database, output, directory, typesFile: types, signal })
    } finally {
      await database.close()
    }
  }
  const moving = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .option('--dry-run', 'run in a transaction that is rolled back, and print the SQL')
  const moveTo = (target: Target, options: { dryRun?: boolean }) =>
    withDatabase(task => move(task, target, options.dryRun === true))

  program
    .command('list')
    .description('list all migrations with their state')
    .action(() => withDatabase(list))

  moving('up', 'apply the next pending migration')
    .option('-l, --latest', 'apply all pending migrations')
    .action(options => moveTo({ kind: options.latest ? 'latest' : 'next' }, options))

  moving('down', 'undo the newest applied migration')
    .option('-R, --reset', 'undo all migrations; their tables and what is in them are gone')
    .action(options => moveTo({ kind: options.reset ? 'nothing' : 'previous' }, options))

  moving('to', 'apply or undo up to and including this migration')
    .argument('[name]', 'its name or number; asks when left out')
    .option('-n, --name <name>', 'the same as the argument')
    .action(async (argument: string | undefined, options) => {
      const files = await readMigrationFiles(globals().directory)
      const name = argument ?? options.name ?? (await chooseMigration(files, globals()))
      await moveTo({ kind: 'to', name }, options)
    })

  moving('rollback', 'undo what the last up applied, all of it').action(options =>
    moveTo({ kind: 'batch' }, options),
  )

  program
    .command('logins')
    .description(
      'set the passwords of the four logins, which derive from AUTH_SECRET, and their right to connect, as up does at its end',
    )
    .option('--reset', 'also replace passwords that are in use: after AUTH_SECRET was changed on purpose')
    .action(options => withDatabase(task => setLogins(task, options.reset === true)))

  program
    .command('create')
    .description('write an empty migration under the next number')
    .argument('[name]', 'what it does, as in add_labels')
    .option('-n, --name <name>', 'the same as the argument')
    .action(async (argument: string | undefined, options) => {
      const name = argument ?? options.name
      if (name === undefined) program.error('error: create needs a name, as in create add_labels')
      await create(createOutput(globals()), name, globals().directory)
    })

  program
    .command('status')
    .description('say at which version the database is; fails when the files are not those that were applied')
    .action(() => withDatabase(status))

  program
    .command('verify')
    .description(
      'build the migrations in a scratch database and check that down undoes up, that the generated files are current, ' +
        'and that the database, if it is migrated, has not drifted',
    )
    .action(() => withDatabase(verifyAll))

  program
    .command('codegen')
    .description(
      'write schema.sql, types, rows, values and triggers, from a scratch database that the migrations build',
    )
    .option('--verify', 'write nothing and fail when they are not current')
    .action(options => withDatabase(task => codegen(task, options.verify === true)))

  return program
}

await runWhenMain(import.meta.url, createProgram)
