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
The command uses the database at --url, else DIRECT_URL, else DATABASE_URL, else the embedded Postgres in DATA_DIR, which it
starts and stops if it is not running. The URL must connect directly as the owner, not through a pooler.

Only one command at a time changes a database: a second one waits and prints the pid of the first. Each file and its record
are applied in one transaction, unless the file contains "-- rowhouse: no transaction": then its statements run one by one, and
a failed or killed run continues with the next statement. If an applied file was edited or is missing, the error names it.

Exit codes: 0 success, 1 failure, 2 invalid usage, 130 interrupted.`

/** Builds the command line. Aborting `signal` ends a running command and rolls back its open file. */
export function createProgram(signal: AbortSignal): Command {
  const program = new Command('kysely-migrate')
    .description('Applies, undoes, creates and checks the SQL files in migrations/.')
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout, errors included; progress goes to stderr')
    .option('-s, --silent', 'print only errors')
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
    .option('-R, --reset', 'undo all migrations, which drops their tables and all data')
    .action(options => moveTo({ kind: options.reset ? 'nothing' : 'previous' }, options))

  moving('to', 'apply or undo migrations until this one is the newest applied')
    .argument('[name]', 'its name or number; asks if omitted')
    .option('-n, --name <name>', 'the same as the argument')
    .action(async (argument: string | undefined, options) => {
      const files = await readMigrationFiles(globals().directory)
      const name = argument ?? options.name ?? (await chooseMigration(files, globals()))
      await moveTo({ kind: 'to', name }, options)
    })

  moving('rollback', 'undo all migrations that the last up applied').action(options =>
    moveTo({ kind: 'batch' }, options),
  )

  program
    .command('logins')
    .description(
      'set the passwords (derived from AUTH_SECRET) and the right to connect of the four logins, as up does at its end',
    )
    .option('--reset', 'also replace passwords that are in use, after you changed AUTH_SECRET on purpose')
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
    .description('print the version of the database; fails if the files differ from the applied ones')
    .action(() => withDatabase(status))

  program
    .command('verify')
    .description(
      'build the migrations in a scratch database and check that down undoes up, that the generated files are current, ' +
        'and that the database, if it is migrated, matches the migrations',
    )
    .action(() => withDatabase(verifyAll))

  program
    .command('codegen')
    .description(
      'write schema.sql, types, rows, values and triggers from a scratch database built by the migrations',
    )
    .option('--verify', 'write nothing; fail if they are not current')
    .action(options => withDatabase(task => codegen(task, options.verify === true)))

  return program
}

await runWhenMain(import.meta.url, createProgram)
