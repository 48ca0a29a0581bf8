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
To introduce a new key:
  1. Set ENCRYPTION_KEYS="k2:…,k1:…" for every server, the new key first, and restart all servers. They encrypt with k2 and decrypt with both.
  2. Run npm run keys:rotate.
  3. When k1 holds no value, set ENCRYPTION_KEYS="k2:…".
You can run it at any time: servers keep serving, and a killed run continues when you start it again.

Exit codes: 0 every secret is encrypted with the first key; 1 a failure, or a value that does not decrypt or still needs another key;
2 invalid usage; 130 interrupted.`

/** `npm run keys:rotate`: re-encrypts every secret with the first key of ENCRYPTION_KEYS. */
export function createProgram(signal: AbortSignal): Command {
  return new Command('keys:rotate')
    .description(
      'Re-encrypts every secret in the database with the first key of ENCRYPTION_KEYS, in batches and while servers run, and ' +
        'prints how many values each key still holds. Connects as the database owner.',
    )
    .option('--url <url>', "the database owner's URL")
    .option('--json', 'print one JSON object on stdout; progress goes to stderr')
    .option('--dry-run', 'only count; change nothing')
    .option('--batch <rows>', 'rows per batch', wholeRows, 500)
    .option(
      '--forget <key id...>',
      'lost keys: servers start without them, and the values that they encrypted stay unreadable',
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
    ...removable.map(key => `the key "${key}" can be removed from ENCRYPTION_KEYS`),
  ]
  const isDone =
    Object.keys(unreadable).length === 0 &&
    Object.entries(held).every(([key, count]) => key === currentKey || count === 0)
  if (!isDone && !isDryRun) throw new CheckFailed(lines.join('\n'), rotation)
  createOutput({ json }).done(rotation, lines)
}

await runWhenMain(import.meta.url, createProgram)
