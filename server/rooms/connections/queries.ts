import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { Database } from '#server/db/database.ts'
import { isUniqueViolation } from '#server/db/errors.ts'
import type { Identity } from '#server/db/identity.ts'
import { newId } from '#server/db/new-id.ts'
import { notFound } from '#server/rpc/errors.ts'
import type { Grant } from './provider.ts'
import { providerOf } from './registry.ts'
import {
  type Connection,
  type ConnectionSettings,
  type ConnectionStatus,
  connection,
  type ProviderName,
} from './schema.ts'
import { isReadable, type SealedTokens, sealTokens } from './tokens.ts'

const { unreadable: _, ...shown } = connection.shape
const SHOWN = Object.keys(shown) as (keyof typeof shown)[]

const HELD = [
  'userId',
  'id',
  'provider',
  'externalId',
  'accessToken',
  'refreshToken',
  'expiresAt',
  'status',
  'tokenVersion',
  'settings',
] as const

/** A connection with its sealed tokens. */
export interface HeldConnection extends SealedTokens {
  readonly userId: string
  readonly id: string
  readonly provider: ProviderName
  readonly externalId: string
  readonly status: ConnectionStatus
  readonly settings: ConnectionSettings
  /** Changes whenever the tokens change, and only then. */
  readonly tokenVersion: number
}

/** The state of the refresh claim. */
export type RefreshState = HeldConnection & { readonly claim: 'none' | 'held' | 'lapsed' }

/** Lists the caller's connections, newest first. */
export async function listConnections(db: Database, keyring: Keyring): Promise<Connection[]> {
  const rows = await db
    .selectFrom('app.connections')
    .select([...SHOWN, 'userId', 'accessToken', 'refreshToken'])
    .orderBy('id', 'desc')
    .execute()
  return rows.map(({ userId, accessToken, refreshToken, ...row }) => ({
    ...(row as Omit<Connection, 'unreadable'>),
    unreadable: !isReadable(keyring, {
      userId,
      id: row.id,
      accessToken,
      refreshToken,
      expiresAt: row.expiresAt,
    }),
  }))
}

/**
 * Returns the connection with its tokens. Throws `not_found`, also if the connection is to a provider other
 * than `provider`.
 */
export async function getHeldConnection(
  db: Database,
  { id, provider }: { id: string; provider?: ProviderName },
): Promise<RefreshState> {
  const row = await db
    .selectFrom('app.connections')
    .select([...HELD, CLAIM.as('claim')])
    .where('id', '=', id)
    .$call(query => (provider === undefined ? query : query.where('provider', '=', provider)))
    .executeTakeFirst()
  if (!row) throw notFound('connection')
  return row as RefreshState
}

/** Lists the caller's connections that are not revoked, with their tokens. */
export async function listHeldConnections(db: Database): Promise<HeldConnection[]> {
  const rows = await db.selectFrom('app.connections').select(HELD).where('status', '<>', 'revoked').execute()
  return rows as HeldConnection[]
}

const CLAIM = sql<RefreshState['claim']>`
  case
    when refresh_claimed_until is null then 'none'
    when refresh_claimed_until > clock_timestamp() then 'held'
    else 'lapsed'
  end`

/** `replaced` is the previous connection if this one is to another account. */
export interface Stored {
  readonly id: string
  readonly replaced: HeldConnection | null
}

const MAX_ATTEMPTS = 5

/** The user who consented, and what storing the connection needs. */
interface Keeper {
  readonly keyring: Keyring
  readonly identity: Identity
  readonly system: Pick<Services['pools']['system'], 'storeConnection'>
  /** The session's credential, as statements carry it. */
  readonly credential: string
}

/**
 * Stores the result of a user's consent: inserts a connection or updates the caller's connection to the same
 * account. At a provider with `isSingle`, a connection to another account is replaced. An updated connection
 * keeps its id and its settings.
 */
export async function storeConnection(
  db: Database,
  { keyring, identity, system, credential }: Keeper,
  { provider, grant }: { provider: ProviderName; grant: Grant },
): Promise<Stored> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const before = await findSame(db, provider, grant.externalId)
    const id = before?.id ?? newId()
    const { externalId, name, icon, scopes, botId, settings } = grant
    const sealed = sealTokens(keyring, { userId: identity.userId, id }, grant)
    const kept = { externalId, name, icon, scopes, botId, settings, ...sealed }
    try {
      const isStored = await system.storeConnection(credential, {
        id,
        provider,
        before: before?.externalId ?? null,
        ...kept,
      })
      if (isStored) return { id, replaced: before && before.externalId !== externalId ? before : null }
    } catch (error) {
      // Another tab stored its connection first: the next attempt replaces it.
      if (!isUniqueViolation(error) || attempt === MAX_ATTEMPTS) throw error
    }
  }
  throw new Error(`the connection to ${provider} changed during every attempt to store it`)
}

async function findSame(
  db: Database,
  provider: ProviderName,
  externalId: string,
): Promise<HeldConnection | undefined> {
  const row = await db
    .selectFrom('app.connections')
    .select(HELD)
    .where('provider', '=', provider)
    .$if(!providerOf(provider).isSingle, query => query.where('externalId', '=', externalId))
    .executeTakeFirst()
  return row as HeldConnection | undefined
}

/** Merges into the connection's settings. */
export async function addSettings(
  db: Database,
  id: string,
  settings: Readonly<Record<string, string>>,
): Promise<ConnectionSettings> {
  const row = await db
    .updateTable('app.connections')
    .set({ settings: sql`settings || ${JSON.stringify(settings)}::jsonb` })
    .where('id', '=', id)
    .returning('settings')
    .executeTakeFirst()
  if (!row) throw notFound('connection')
  return row.settings as ConnectionSettings
}

export async function removeConnection(db: Database, id: string): Promise<{ id: string }> {
  const row = await db.deleteFrom('app.connections').where('id', '=', id).returning('id').executeTakeFirst()
  if (!row) throw notFound('connection')
  return row
}

/**
 * Claims the refresh of the tokens of this version and returns the claim's id. Null if another
 * process holds the claim, or if this version is not current any more.
 */
export async function claimRefresh(
  db: Database,
  { id, tokenVersion }: HeldConnection,
  claimSeconds: number,
): Promise<string | null> {
  const refreshClaim = randomUUID()
  const { numUpdatedRows } = await db
    .updateTable('app.connections')
    .set({
      refreshClaim,
      refreshClaimedUntil: sql<Date>`clock_timestamp() + make_interval(secs => ${claimSeconds})`,
    })
    .where('id', '=', id)
    .where('tokenVersion', '=', tokenVersion)
    .where('status', '<>', 'revoked')
    .where(sql<boolean>`coalesce(refresh_claimed_until <= clock_timestamp(), true)`)
    .executeTakeFirst()
  return numUpdatedRows > 0n ? refreshClaim : null
}

/** Releases the claim after a failed refresh, so that waiting callers fail too. */
export async function releaseRefresh(
  db: Database,
  { id }: HeldConnection,
  { claim, status }: { claim: string; status?: 'error' | undefined },
): Promise<void> {
  await db
    .updateTable('app.connections')
    .set({ refreshClaim: null, refreshClaimedUntil: null, ...(status && { status }) })
    .where('id', '=', id)
    .where('refreshClaim', '=', claim)
    .execute()
}

/** Marks the connection revoked and deletes these tokens; does nothing if newer tokens are stored. */
export async function markRevoked(db: Database, { id, tokenVersion }: HeldConnection): Promise<void> {
  await db
    .updateTable('app.connections')
    .set({
      status: 'revoked',
      accessToken: null,
      refreshToken: null,
      tokenVersion: tokenVersion + 1,
      refreshClaim: null,
      refreshClaimedUntil: null,
    })
    .where('id', '=', id)
    .where('tokenVersion', '=', tokenVersion)
    .execute()
}
