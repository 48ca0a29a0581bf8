import { sql } from 'kysely'
import { type Place, seal } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { openIfReadable } from '#server/crypto/readable.ts'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { newId } from '#server/db/new-id.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { keyRow, keyWarning, type Provider, type ProviderKey, type SetKey, type StoredKey } from './schema.ts'

const COLUMNS = namesIn(keyRow)

export interface Sealing {
  readonly keyring: Keyring
  readonly ownerId: string
}

/** Stores a key and replaces the provider's previous one. */
export async function setKey(
  db: Database,
  { keyring, ownerId }: Sealing,
  { provider, value }: SetKey,
): Promise<StoredKey> {
  const id = newId()
  const row = await db
    .insertInto('app.providerKeys')
    .values({ id, provider, value: seal(keyring, value, placeOf(ownerId, id)), hint: hintOf(value) })
    .onConflict(conflict =>
      conflict.columns(['userId', 'provider']).doUpdateSet(eb => ({
        // The value is sealed for its row's id, so a new value needs the new row's id.
        id: eb.ref('excluded.id'),
        value: eb.ref('excluded.value'),
        hint: eb.ref('excluded.hint'),
        lastUsedAt: null,
      })),
    )
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
  return { ...row, provider, unreadable: false, warning: keyWarning(provider, value) }
}

export async function listKeys(db: Database, keyring: Keyring): Promise<ProviderKey[]> {
  const rows = await db
    .selectFrom('app.providerKeys')
    .select(['userId', 'id', 'value', ...COLUMNS])
    .orderBy('provider')
    .execute()
  return rows.map(({ userId, id, value, ...row }) => ({
    ...row,
    unreadable: openIfReadable(keyring, value, placeOf(userId, id)) === null,
  }))
}

/** Returns a key's value and records its use. Throws `value_unreadable` if it cannot be decrypted. */
export async function revealKey(
  db: Database,
  keyring: Keyring,
  provider: Provider,
): Promise<{ value: string }> {
  const row = await db
    .updateTable('app.providerKeys')
    .set({ lastUsedAt: sql<Date>`now()` })
    .where('provider', '=', provider)
    .returning(['userId', 'id', 'value'])
    .executeTakeFirst()
  if (!row) throw notFound('key')
  const value = openIfReadable(keyring, row.value, placeOf(row.userId, row.id))
  if (value === null)
    throw new AppError(
      'value_unreadable',
      `the key for provider "${provider}" cannot be decrypted: set it again`,
    )
  return { value }
}

export async function removeKey(db: Database, provider: Provider): Promise<{ provider: Provider }> {
  const { numDeletedRows } = await db
    .deleteFrom('app.providerKeys')
    .where('provider', '=', provider)
    .executeTakeFirst()
  if (numDeletedRows === 0n) throw notFound('key')
  return { provider }
}

export function placeOf(ownerId: string, rowId: string): Place {
  return { table: 'app.provider_keys', column: 'value', ownerId, rowId }
}

/** The last four characters; fewer of a short key, which four would reveal. */
export function hintOf(value: string): string {
  const characters = [...value]
  const shown = characters.length >= 12 ? 4 : characters.length >= 8 ? 2 : 0
  return shown === 0 ? '' : characters.slice(-shown).join('')
}
