import { Command, InvalidArgumentError } from 'commander'
import { loadConfig } from '#server/app/config.ts'
import { parseKeyring } from '#server/crypto/keyring.ts'
import { connectOwner } from '#server/postgres/migrations/connect.ts'
import { type Rotation, rotate } from './keys/rotation.ts'
import { CheckFailed, createOutput } from './migrate/output.ts'
import { openOwnerDatabase } from './migrate/owner.ts'
import { runWhenMain } from './migrate/run.ts'

interface RotateOptions {
  url?: string
  json?: boolean
  dryRun?: boolean
  batch: number
  forget: string[]
}

const help = `
To take in a new key:
  1. ENCRYPTION_KEYS="k2:…,k1:…" for every server, the new key first; restart them all. Both keys open, k2 seals.
  2. npm run keys:rotate
  3. ENCRYPTION_KEYS="k2:…" once k1 holds nothing.
It can be run again at any time, and goes on where one that was killed has stopped. Servers serve all the while.

Exit codes: 0 every secret is sealed with the first key; 1 something failed, does not open, or is still held by another key;
2 the command was not understood; 130 interrupted.`

/** `npm run keys:rotate`: seals every secret with the first key of ENCRYPTION_KEYS. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('keys:rotate')
    .description(
      'Re-encrypts every secret in the database with the first key of ENCRYPTION_KEYS, in batches and while servers run, and ' +
        'says how many values each key still holds. Connects as the database owner.',
    )
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout; progress goes to stderr')
    .option('--dry-run', 'change nothing, only count')
    .option('--batch <rows>', 'how many rows to move at a time', wholeRows, 500)
    .option(
      '--forget <key id...>',
      'keys that are lost: servers start without them, and what they sealed stays unreadable',
      [],
    )
    .addHelpText('after', help)
    .action(async ({ url, json, dryRun: isDryRun = false, batch: batchSize, forget }: RotateOptions) => {
      const keyring = parseKeyring(loadConfig().encryptionKeys)
      const log = (line: string) => void process.stderr.write(`${line}\n`)
      const database = await openOwnerDatabase({ url, log })
      try {
        const client = await connectOwner(database.url, 'keys:rotate')
        try {
          const options = { keyring, batchSize, isDryRun, forget, signal, log }
          report(await rotate(client, options), { json, isDryRun })
        } finally {
          await client.end()
        }
      } finally {
        await database.close()
      }
    })
}

function wholeRows(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number from 1 to 99999.')
}

function report(rotation: Rotation, { json, isDryRun }: { json?: boolean; isDryRun: boolean }): void {
  const { currentKey, held, moved, removable, unreadable } = rotation
  const values = (count: number) => `${count} ${count === 1 ? 'value' : 'values'}`
  const lines = [
    `${values(moved)} ${isDryRun ? 'would be moved' : 'moved'} to the key "${currentKey}"`,
    ...Object.entries(held).map(
      ([key, count]) => `${key ? `key "${key}"` : 'no key'} holds ${values(count)}`,
    ),
    ...Object.entries(unreadable).map(([place, rows]) => `${place}: ${values(rows.length)} unreadable`),
    ...removable.map(key => `the key "${key}" can be taken out of ENCRYPTION_KEYS`),
  ]
  const isDone =
    Object.keys(unreadable).length === 0 &&
    Object.entries(held).every(([key, count]) => key === currentKey || count === 0)
  if (!isDone && !isDryRun) throw new CheckFailed(lines.join('\n'), rotation)
  createOutput({ json }).done(rotation, lines)
}

await runWhenMain(import.meta.url, createProgram)
