import { createInterface } from 'node:readline/promises'
import { Command } from 'commander'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import { rebuild } from '#server/postgres/migrations/rebuild.ts'
import { createOutput, type OutputOptions } from './migrate/output.ts'
import { openOwnerDatabase, refuseProduction } from './migrate/owner.ts'
import { runWhenMain } from './migrate/run.ts'

interface ResetOptions extends OutputOptions {
  url?: string
  directory?: string
  yes?: boolean
}

/** `npm run db:reset`: drops everything and applies all migrations. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('db:reset')
    .description(
      'For development: drops everything in the database and applies all migrations. Asks first; refuses production.',
    )
    .option('-y, --yes', 'do not ask')
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout')
    .option('--directory <path>', 'the directory of the migrations (default: migrations/)')
    .action(async ({ url, directory, yes, ...outputOptions }: ResetOptions) => {
      refuseProduction('db:reset')
      const output = createOutput(outputOptions)
      const database = await openOwnerDatabase({ url, log: output.log })
      try {
        if (!yes) await confirm(database.label)
        await database.beforeUp()
        const result = await rebuild({ url: database.url, directory, log: output.log, signal })
        await database.afterUp()
        output.done(result, ['dropped everything and applied all migrations'])
      } finally {
        await database.close()
      }
    })
}

async function confirm(label: string): Promise<void> {
  const refusal = new MigrationError('not_confirmed', 'nothing was dropped')
  if (!process.stdin.isTTY) {
    throw new MigrationError(
      'not_confirmed',
      'this drops everything: confirm with --yes (there is no terminal to ask on)',
    )
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await prompt.question(`Drop everything in ${label} and apply all migrations? [y/N]  `)
    if (!/^y(es)?$/i.test(answer.trim())) throw refusal
  } finally {
    prompt.close()
  }
}

await runWhenMain(import.meta.url, createProgram)
