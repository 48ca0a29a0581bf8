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
  /** Keys that are lost: what only they open is given up. */
  readonly forget: readonly string[]
  readonly signal: AbortSignal
  readonly log: (line: string) => void
}

export interface Rotation {
  /** The key that seals. */
  readonly currentKey: string
  readonly moved: number
  /** How many values each key holds now, the keys of the keyring among them even where it is none. */
  readonly held: Readonly<Record<string, number>>
  /** Keys of the keyring that hold nothing that opens, and can be taken out of ENCRYPTION_KEYS. */
  readonly removable: readonly string[]
  /** Values that do not open, by table and column. */
  readonly unreadable: Readonly<Record<string, readonly Unreadable[]>>
}

const PASSES = 20
const PAUSE_MS = 100

/**
 * Moves every secret to the keyring's first key, while servers go on reading and writing. Where it was is in
 * no place of its own: killed at any moment, the next run finds what is left. Throws WrongKeysError before
 * anything is changed.
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
 * Refuses a keyring that is not the one in use: counting with it would be wrong, and sealing with it worse.
 */
async function checkKeys(
  database: Queryable,
  { keyring, forget, isDryRun }: RotationOptions,
): Promise<KeyringCheck[]> {
  const known = forget.find(id => keyring.keyIds.includes(id))
  if (known) {
    throw new MigrationError(
      'key_known',
      `the key "${known}" is in ENCRYPTION_KEYS, so nothing of it is lost`,
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
  // A server with other keys may have come first.
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
  if (signal.aborted) throw new MigrationError('interrupted', 'interrupted; run it again to go on')
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
