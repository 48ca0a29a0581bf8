import { sql } from 'kysely'
import type { Keyring } from '#server/crypto/keyring.ts'
import { openIfReadable } from '#server/crypto/readable.ts'
import type { Database } from '#server/db/database.ts'
import type { ConnectorSecrets } from '#server/rooms/connectors/schema.ts'
import { openSecrets, type SealedSecrets } from '#server/rooms/connectors/secrets.ts'
import { placeOf } from '#server/rooms/keys/queries.ts'
import type { Provider } from '#server/rooms/keys/schema.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { TaskSecrets } from './schema.ts'

type TaskConnector = TaskSecrets['connectors'][number]

interface SealedTaskSecrets {
  userId: string
  /** By provider; `id` and `value` are null if no key is set. */
  keys: { provider: Provider; id: string | null; value: string | null }[]
  connectors: (Omit<TaskConnector, keyof ConnectorSecrets> & SealedSecrets)[]
}

/**
 * Returns the keys and connectors that the leased task names, and records that the keys were used. Throws
 * `missing_scope` if the task was claimed with a token that lacks keys:reveal.
 */
export async function openTaskSecrets(db: Database, keyring: Keyring): Promise<TaskSecrets> {
  const { rows } = await sql<SealedTaskSecrets>`select * from app.open_task_secrets()`.execute(db)
  const [sealed] = rows
  if (!sealed)
    throw new AppError('lease_lost', 'the lease has ended: claim the task again to read its secrets')
  const { userId: ownerId } = sealed
  return {
    keys: sealed.keys.map(({ provider, id, value }) => {
      if (id === null || value === null) return { provider, value: null, unreadable: false }
      const opened = openIfReadable(keyring, value, placeOf(ownerId, id))
      return { provider, value: opened, unreadable: opened === null }
    }),
    connectors: sealed.connectors.map(({ env, headers, oauthClientId, oauthClientSecret, ...shown }) => {
      const secrets = { env, headers, oauthClientId, oauthClientSecret }
      return { ...shown, ...openSecrets(keyring, secrets, { ownerId, rowId: shown.id }) }
    }),
  }
}
