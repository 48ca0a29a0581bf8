import { type Selectable, sql } from 'kysely'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { Database } from '#server/db/database.ts'
import { newId } from '#server/db/new-id.ts'
import type { AppConnectors } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'
import type { Connector, ConnectorSecrets, CreateConnector, UpdateConnector } from './schema.ts'
import { openSecrets, sealSecrets } from './secrets.ts'

const COLUMNS = [
  'userId',
  'id',
  'name',
  'kind',
  'command',
  'args',
  'url',
  'env',
  'headers',
  'oauthClientId',
  'oauthClientSecret',
  'status',
  'lastCheckedAt',
  'lastError',
  'tools',
  'createdAt',
  'updatedAt',
] as const

type ConnectorRow = Pick<Selectable<AppConnectors>, (typeof COLUMNS)[number]>

export interface Sealing {
  readonly keyring: Keyring
  readonly ownerId: string
}

export async function createConnector(
  db: Database,
  { keyring, ownerId }: Sealing,
  input: CreateConnector,
): Promise<Connector> {
  const { env, headers, oauthClientId, oauthClientSecret, ...shown } = input
  const id = newId()
  const secrets = { env, headers, oauthClientId, oauthClientSecret }
  const row = await db
    .insertInto('app.connectors')
    .values({ id, ...shown, ...sealSecrets(keyring, secrets, { ownerId, rowId: id }) })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
  return toConnector(keyring, row)
}

export async function listConnectors(db: Database, keyring: Keyring): Promise<Connector[]> {
  const rows = await db.selectFrom('app.connectors').select(COLUMNS).orderBy('id', 'desc').execute()
  return rows.map(row => toConnector(keyring, row))
}

export async function getConnector(db: Database, keyring: Keyring, id: string): Promise<Connector> {
  const row = await db.selectFrom('app.connectors').select(COLUMNS).where('id', '=', id).executeTakeFirst()
  if (!row) throw notFound('connector')
  return toConnector(keyring, row)
}

/**
 * Updates the given fields only. Any change but a new name resets the last check, which was of another
 * server.
 */
export async function updateConnector(
  db: Database,
  { keyring, ownerId }: Sealing,
  input: UpdateConnector,
): Promise<Connector> {
  const { id, name, command, args, url, ...secrets } = input
  const target = definedOf({
    command,
    args,
    url,
    ...sealSecrets(keyring, secrets, { ownerId, rowId: id }),
  })
  const isRenamed = name !== undefined
  const isChanged = Object.keys(target).length > 0
  if (!isRenamed && !isChanged) return getConnector(db, keyring, id)
  const row = await db
    .updateTable('app.connectors')
    .set({ ...(isRenamed ? { name } : {}), ...target, ...(isChanged ? UNCHECKED : {}) })
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('connector')
  return toConnector(keyring, row)
}

/** Deletes a connector, also from the tasks that name it. */
export async function removeConnector(db: Database, id: string): Promise<{ id: string }> {
  const { numDeletedRows } = await db.deleteFrom('app.connectors').where('id', '=', id).executeTakeFirst()
  if (numDeletedRows === 0n) throw notFound('connector')
  return { id }
}

/** A connector with its decrypted secrets. */
export interface OpenConnector extends Pick<Connector, 'id' | 'name' | 'kind' | 'command' | 'args' | 'url'> {
  readonly secrets: Omit<ConnectorSecrets, 'unreadable'>
  /** Changes with every update of the connector. */
  readonly version: string
}

/** Returns a connector with decrypted secrets. Throws `value_unreadable` if one cannot be decrypted. */
export async function openConnector(db: Database, keyring: Keyring, id: string): Promise<OpenConnector> {
  const row = await db
    .selectFrom('app.connectors')
    .select([...COLUMNS, sql<string>`updated_at::text`.as('version')])
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('connector')
  const { unreadable, ...secrets } = openSecrets(keyring, row, { ownerId: row.userId, rowId: row.id })
  if (unreadable.length > 0) {
    const fields = unreadable.join(', ')
    throw new AppError(
      'value_unreadable',
      `connector "${id}" has secrets that cannot be decrypted: set ${fields} again`,
    )
  }
  const { name, command, args, url, version } = row
  return { id, name, kind: row.kind, command, args, url, secrets, version }
}

/** The result of a check. */
export type ConnectorCheck =
  | { readonly status: 'connected'; readonly tools: readonly object[] }
  | { readonly status: 'disconnected'; readonly error: string }

/**
 * Stores the result of a check, unless the connector was changed in the meantime. A failed check keeps the
 * tools of the last successful one.
 */
export async function recordCheck(
  db: Database,
  { id, version }: Pick<OpenConnector, 'id' | 'version'>,
  check: ConnectorCheck,
): Promise<void> {
  await db
    .updateTable('app.connectors')
    .set({
      status: check.status,
      lastCheckedAt: sql<Date>`now()`,
      ...(check.status === 'connected'
        ? { lastError: null, tools: JSON.stringify(check.tools) }
        : { lastError: check.error }),
    })
    .where('id', '=', id)
    .where(sql<string>`updated_at::text`, '=', version)
    .execute()
}

const UNCHECKED = Object.freeze({
  status: 'disconnected',
  lastCheckedAt: null,
  lastError: null,
  tools: '[]',
}) satisfies Record<string, string | null>

function definedOf<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
}

function toConnector(keyring: Keyring, row: ConnectorRow): Connector {
  const secrets = openSecrets(keyring, row, { ownerId: row.userId, rowId: row.id })
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    command: row.command,
    args: row.args,
    url: row.url,
    envNames: Object.keys(secrets.env),
    headerNames: Object.keys(secrets.headers),
    hasOauthClientId: row.oauthClientId !== null,
    hasOauthClientSecret: row.oauthClientSecret !== null,
    unreadable: secrets.unreadable,
    status: row.status,
    lastCheckedAt: row.lastCheckedAt,
    lastError: row.lastError,
    tools: row.tools as Json[],
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  }
}
