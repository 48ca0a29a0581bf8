import { createInterface } from 'node:readline/promises'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import type { MigrationFile } from '#server/postgres/migrations/file.ts'

/** Asks a person at a terminal for the target migration; throws an error that lists the names otherwise. */
export async function chooseMigration(files: MigrationFile[], { json = false }): Promise<string> {
  const names = files.map(file => file.name)
  const isPerson = process.stdin.isTTY && process.stdout.isTTY && !json
  if (names.length === 0)
    throw new MigrationError(
      'no_migrations',
      'the directory has no migrations: run npx kysely-migrate create first',
    )
  if (!isPerson) {
    throw new MigrationError('no_name', `name the target migration, one of: ${names.join(', ')}`)
  }
  const prompt = createInterface({ input: process.stdin, output: process.stdout })
  try {
    const answer = await prompt.question(`${names.join('\n')}\nnumber or name of the target migration: `)
    if (answer.trim() === '') throw new MigrationError('no_name', 'no migration was chosen')
    return answer.trim()
  } finally {
    prompt.close()
  }
}
