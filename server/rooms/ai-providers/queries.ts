import { type Selectable, sql } from 'kysely'
import { type Place, seal } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import { openIfReadable } from '#server/crypto/readable.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import { newId } from '#server/db/new-id.ts'
import type { AppAiProviderConfigs } from '#server/db/types.ts'
import { hintOf } from '#server/rooms/keys/queries.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import type { AiProvider, AiProviderLimits, CreateAiProvider, UpdateAiProvider } from './schema.ts'

const COLUMNS = [
  'organizationId',
  'id',
  'name',
  'provider',
  'baseUrl',
  'model',
  'credentials',
  'hint',
  'isDefault',
  'limits',
  'createdAt',
  'updatedAt',
] as const

type AiProviderRow = Pick<Selectable<AppAiProviderConfigs>, (typeof COLUMNS)[number]>

export interface Sealing {
  readonly keyring: Keyring
  /** The organization's id. */
  readonly ownerId: string
}

/** Returns the organization in which the caller acts. Throws `not_a_member` if there is none. */
export function requireOrganization({ organization }: Identity): NonNullable<Identity['organization']> {
  if (organization) return organization
  throw new AppError(
    'not_a_member',
    'AI providers belong to an organization: send the header x-organization-id',
  )
}

/** Throws `role_too_low` for members. The policies enforce the same. */
export function requireWriter({ organization }: Pick<Identity, 'organization'>): void {
  if (organization?.role === 'member')
    throw new AppError('role_too_low', 'only owners and admins can change AI providers')
}

/** Throws `unique_violation` if another provider of the organization has this name. */
export async function createAiProvider(
  db: Database,
  { keyring, ownerId }: Sealing,
  input: CreateAiProvider,
): Promise<AiProvider> {
  const { credentials = null, limits, ...shown } = input
  const id = newId()
  const row = await db
    .insertInto('app.aiProviderConfigs')
    .values({
      id,
      ...shown,
      ...sealCredentials({ keyring, ownerId }, id, credentials),
      limits: JSON.stringify(limits),
    })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
  return toAiProvider(keyring, row)
}

/** Lists the providers of the organization in which the caller acts: the default first, then newest first. */
export async function listAiProviders(db: Database, keyring: Keyring): Promise<AiProvider[]> {
  const rows = await db
    .selectFrom('app.aiProviderConfigs')
    .select(COLUMNS)
    .orderBy('isDefault', 'desc')
    .orderBy('id', 'desc')
    .execute()
  return rows.map(row => toAiProvider(keyring, row))
}

/** Updates the given fields only. Throws like {@link createAiProvider}. */
export async function updateAiProvider(
  db: Database,
  { keyring, ownerId }: Sealing,
  input: UpdateAiProvider,
): Promise<AiProvider> {
  const { id, credentials, limits, name, provider, baseUrl, model } = input
  const row = await db
    .updateTable('app.aiProviderConfigs')
    .set(eb => ({
      name: name ?? eb.ref('name'),
      provider: provider ?? eb.ref('provider'),
      baseUrl: baseUrl === undefined ? eb.ref('baseUrl') : baseUrl,
      model: model ?? eb.ref('model'),
      limits: limits === undefined ? eb.ref('limits') : JSON.stringify(limits),
      ...(credentials === undefined ? {} : sealCredentials({ keyring, ownerId }, id, credentials)),
    }))
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('AI provider')
  return toAiProvider(keyring, row)
}

export async function removeAiProvider(db: Database, id: string): Promise<{ id: string }> {
  const { numDeletedRows } = await db
    .deleteFrom('app.aiProviderConfigs')
    .where('id', '=', id)
    .executeTakeFirst()
  if (numDeletedRows === 0n) throw notFound('AI provider')
  return { id }
}

/**
 * Makes a provider the organization's default, replacing the previous one. Of concurrent calls, the last one
 * wins.
 */
export async function setDefaultAiProvider(db: Database, id: string): Promise<{ id: string }> {
  const call = sql<boolean>`app.set_default_ai_provider(${id}::uuid)`
  const { isSet } = await db.selectNoFrom(call.as('isSet')).executeTakeFirstOrThrow()
  if (!isSet) throw notFound('AI provider')
  return { id }
}

export function placeOf(ownerId: string, rowId: string): Place {
  return { table: 'app.ai_provider_configs', column: 'credentials', ownerId, rowId }
}

function sealCredentials({ keyring, ownerId }: Sealing, rowId: string, credentials: string | null) {
  return credentials === null
    ? { credentials: null, hint: '' }
    : { credentials: seal(keyring, credentials, placeOf(ownerId, rowId)), hint: hintOf(credentials) }
}

function toAiProvider(keyring: Keyring, row: AiProviderRow): AiProvider {
  const { organizationId, credentials, limits, ...rest } = row
  return {
    ...rest,
    hasCredentials: credentials !== null,
    unreadable:
      credentials !== null && openIfReadable(keyring, credentials, placeOf(organizationId, row.id)) === null,
    limits: limits as AiProviderLimits,
  }
}
