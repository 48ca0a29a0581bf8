import { Command } from 'commander'
import { generateFiles, writeFiles } from '#server/postgres/migrations/codegen.ts'
import { pushNewest } from '#server/postgres/migrations/rebuild.ts'
import { createOutput, type OutputOptions } from './migrate/output.ts'
import { openOwnerDatabase, refuseProduction } from './migrate/owner.ts'
import { runWhenMain } from './migrate/run.ts'

interface PushOptions extends OutputOptions {
  url?: string
  directory?: string
  types?: string
}

/** `npm run db:push`: undoes and reapplies the newest migration and writes the generated files. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('db:push')
    .description(
      'For development: undoes the newest migration as it was applied and applies its file as it is now (or only applies pending migrations), ' +
        'and writes the types and schema.sql. Deletes the data in the tables of that migration. Refuses a released migration, and production.',
    )
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout')
    .option('--directory <path>', 'the directory of the migrations (default: migrations/)')
    .option('--types <path>', 'the file of the generated types (default: server/db/types.ts)')
    .action(async ({ url, directory, types, ...outputOptions }: PushOptions) => {
      refuseProduction('db:push')
      const output = createOutput(outputOptions)
      const database = await openOwnerDatabase({ url, log: output.log })
      try {
        const options = { url: database.url, directory, typesFile: types, log: output.log, signal }
        await database.beforeUp()
        const result = await pushNewest(options)
        await database.afterUp()
        const written = await writeFiles(await generateFiles(options))
        output.done({ ...result, written }, [
          written.length > 0 ? `wrote ${written.join(', ')}` : 'everything is current',
        ])
      } finally {
        await database.close()
      }
    })
}

await runWhenMain(import.meta.url, createProgram)
