import type { Queryable } from '#server/postgres/migrations/connect.ts'
import { open, type Place, seal, UnreadableValueError } from './envelope.ts'
import type { Keyring } from './keyring.ts'

const KNOWN_TEXT = 'rowhouse'

/**
 * This process has other keys than those that encrypted this database's secrets. The message says what to do.
 */
export class WrongKeysError extends Error {
  override readonly name = 'WrongKeysError'
}

export interface KeyringCheck {
  readonly keyId: string
  readonly value: string
}

interface CheckKeeper {
  keepKeyringCheck(value: string, keyIds: readonly string[]): Promise<KeyringCheck[]>
}

/** The additional data of a key's check value: the table of check values, no owner, the key's own row. */
function checkPlace(keyId: string): Place {
  return { table: 'app.keyring_checks', column: 'value', ownerId: '', rowId: keyId }
}

export function sealCheck(keyring: Keyring): string {
  return seal(keyring, KNOWN_TEXT, checkPlace(keyring.currentKeyId))
}

/**
 * Decrypts the check value of every key in use, and stores one for the first key if it has none. Throws
 * {@link WrongKeysError}. If servers start at once with different keys, one of them is refused.
 */
export async function assertKeys(keeper: CheckKeeper, keyring: Keyring): Promise<void> {
  const check = sealCheck(keyring)
  // With no key named, the value is stored only if there is none at all. So the existing values are decrypted
  // before one is added: the check value of a refused keyring would stop every server that has the right one.
  const checks = await keeper.keepKeyringCheck(check, [])
  refuseWrongKeys(keyring, checks)
  if (checks.some(({ keyId }) => keyId === keyring.currentKeyId)) return
  refuseWrongKeys(keyring, await keeper.keepKeyringCheck(check, keyring.keyIds))
}

/**
 * Checks the keyring against this database before the first value is encrypted. Asks the database until one
 * check has succeeded, and never again. The returned function throws {@link WrongKeysError}.
 */
export function checkBeforeSealing(keeper: CheckKeeper, keyring: Keyring): () => Promise<Keyring> {
  let checking: Promise<Keyring> | undefined
  const check = async () => {
    try {
      await assertKeys(keeper, keyring)
      return keyring
    } catch (error) {
      checking = undefined
      throw error
    }
  }
  return () => (checking ??= check())
}

/** Reads the check values of the keys in use, as the owner; empty before the migrations. */
export async function readKeyringChecks(owner: Queryable): Promise<KeyringCheck[]> {
  const { rows } = await owner.query(
    `select pg_catalog.to_regclass('app.keyring_checks') is not null as "isThere"`,
  )
  if (rows[0]?.isThere !== true) return []
  const checks = await owner.query('select key_id, value from app.keyring_checks')
  return checks.rows.map(row => ({ keyId: String(row.key_id), value: String(row.value) }))
}

/** Throws {@link WrongKeysError} unless the keyring decrypts every check value. */
export function refuseWrongKeys(keyring: Keyring, checks: readonly KeyringCheck[]): void {
  const problems = checks.flatMap(check => checkProblem(keyring, check) ?? [])
  if (problems.length > 0) throw new WrongKeysError(problems.join('\n'))
}

function checkProblem(keyring: Keyring, { keyId: id, value }: KeyringCheck): string | null {
  try {
    if (open(keyring, value, checkPlace(id)) === KNOWN_TEXT) return null
  } catch (error) {
    if (!(error instanceof UnreadableValueError)) throw error
    if (error.kind === 'unknown_key') {
      return (
        `ENCRYPTION_KEYS lacks the key "${id}", which sealed secrets of this database. Add ${id}:… behind the key that is to ` +
        'seal, run npm run keys:rotate, and then take it out. If the key is lost, npm run keys:rotate -- ' +
        `--forget ${id} gives up what only it opens`
      )
    }
  }
  return (
    `ENCRYPTION_KEYS has another key under the id "${id}" than the one that sealed secrets of this database. ` +
    'Put that one back; a new key takes a new id, in front of it'
  )
}
