import { setTimeout as sleep } from 'node:timers/promises'
import { type KeyringCheck, refuseWrongKeys, sealCheck } from '#server/crypto/check.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { Queryable } from '#server/postgres/migrations/connect.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'
import { countByKey, resealColumn, type Unreadable, verifyColumn } from './reseal.ts'
import { readSealedColumns, type SealedColumn } from './sealed-columns.ts'

export interface RotationOptions {
  readonly keyring: Keyring
  readonly batchSize: number
  readonly isDryRun: boolean
  /** Lost keys: the values that they encrypted stay unreadable. */
  readonly forget: readonly string[]
  readonly signal: AbortSignal
  readonly log: (line: string) => void
}

export interface Rotation {
  /** The key that encrypts. */
  readonly currentKey: string
  readonly moved: number
  /** How many values each key holds now; every key of the keyring is listed, even with 0. */
  readonly held: Readonly<Record<string, number>>
  /** Keys of the keyring that hold no readable value, and can be removed from ENCRYPTION_KEYS. */
  readonly removable: readonly string[]
  /** Values that do not decrypt, by table and column. */
  readonly unreadable: Readonly<Record<string, readonly Unreadable[]>>
}

const PASSES = 20
const PAUSE_MS = 100

/**
 * Re-encrypts every secret with the keyring's first key while servers read and write. Keeps no progress of
 * its own: after a kill, the next run finds the values that are left. Throws WrongKeysError before it changes
 * anything.
 */
export async function rotate(database: Queryable, options: RotationOptions): Promise<Rotation> {
  const { keyring, isDryRun } = options
  const checks = await checkKeys(database, options)
  await database.query(`select set_config('app.keeps_updated_at', 'on', false)`)
  const columns = await readSealedColumns(database)
  const unreadable: Record<string, readonly Unreadable[]> = {}
  let moved = 0
  for (const column of columns) {
    const result = await emptyOtherKeys(database, column, options)
    moved += result.moved
    const unopened = [...result.unreadable, ...(await verifyColumn(database, column, options))]
    refuseInterrupted(options.signal)
    if (unopened.length > 0) unreadable[nameOf(column)] = unopened
  }
  const held = await countAll(database, columns, keyring)
  const lost = Object.values(unreadable).flat()
  const removable = keyring.keyIds.filter(
    id => id !== keyring.currentKeyId && held[id] === lost.filter(({ keyId }) => keyId === id).length,
  )
  const emptied = checks.map(({ keyId }) => keyId).filter(id => removable.includes(id))
  if (!isDryRun) await forgetChecks(database, emptied)
  return { currentKey: keyring.currentKeyId, moved, held, removable, unreadable }
}

/**
 * Throws if the keyring is not the one in use: it would count wrongly and encrypt with a key that servers
 * lack.
 */
async function checkKeys(
  database: Queryable,
  { keyring, forget, isDryRun }: RotationOptions,
): Promise<KeyringCheck[]> {
  const known = forget.find(id => keyring.keyIds.includes(id))
  if (known) {
    throw new MigrationError(
      'key_known',
      `the key "${known}" is in ENCRYPTION_KEYS, so it is not lost: leave it out of --forget`,
    )
  }
  const readChecks = async () => {
    const { rows } = await database.query(`select key_id as "keyId", value from app.keyring_checks`)
    return (rows as unknown as KeyringCheck[]).filter(({ keyId }) => !forget.includes(keyId))
  }
  refuseWrongKeys(keyring, await readChecks())
  if (isDryRun) return await readChecks()
  await forgetChecks(database, forget)
  const values = [sealCheck(keyring), keyring.keyIds]
  await database.query('select from app.keep_keyring_check($1, $2)', values)
  const checks = await readChecks()
  // A server with other keys may have stored its check value in the meantime.
  refuseWrongKeys(keyring, checks)
  return checks
}

async function forgetChecks(database: Queryable, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return
  await database.query('delete from app.keyring_checks where key_id = any ($1)', [keyIds])
}

async function emptyOtherKeys(
  database: Queryable,
  column: SealedColumn,
  { log, signal, ...options }: RotationOptions,
): Promise<{ moved: number; unreadable: Unreadable[] }> {
  let moved = 0
  const onBatch = (count: number) => {
    moved += count
    log(`${nameOf(column)}: ${moved} ${options.isDryRun ? 'to move' : 'moved'}`)
  }
  for (let pass = 1; ; pass++) {
    const { missed, unreadable } = await resealColumn(database, column, { ...options, signal, onBatch })
    refuseInterrupted(signal)
    if (missed === 0 || pass === PASSES) return { moved, unreadable }
    await sleep(PAUSE_MS)
  }
}

function refuseInterrupted(signal: AbortSignal): void {
  if (signal.aborted)
    throw new MigrationError('interrupted', 'interrupted; run the command again to continue')
}

async function countAll(
  database: Queryable,
  columns: readonly SealedColumn[],
  keyring: Keyring,
): Promise<Record<string, number>> {
  const held: Record<string, number> = Object.fromEntries(keyring.keyIds.map(id => [id, 0]))
  for (const column of columns) {
    for (const [key, count] of await countByKey(database, column)) held[key] = (held[key] ?? 0) + count
  }
  return held
}

function nameOf({ table, column }: SealedColumn): string {
  return `${table}.${column}`
}
