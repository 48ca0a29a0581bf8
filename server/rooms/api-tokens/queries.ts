import { sql } from 'kysely'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import { createApiToken, shownPrefix, storedApiToken } from './format.ts'
import {
  type ApiToken,
  apiToken,
  type CreateToken,
  type NewApiToken,
  newTokenRow,
  type RotateToken,
} from './schema.ts'

const COLUMNS = namesIn(apiToken)
const NEW_COLUMNS = namesIn(newTokenRow)

/** Creates a token. Throws `not_found` for an organization that the caller does not belong to. */
export async function createToken(db: Database, input: CreateToken): Promise<NewApiToken> {
  const token = createApiToken()
  const values = {
    name: input.name,
    prefix: shownPrefix(token),
    tokenHash: storedApiToken(token),
    scopes: input.scopes,
    expiresAt: input.expiresAt ?? null,
  }
  const { organizationId } = input
  if (organizationId === undefined) {
    const row = await db
      .insertInto('app.apiTokens')
      .values(values)
      .returning(NEW_COLUMNS)
      .executeTakeFirstOrThrow()
    return { ...row, token }
  }
  // Selects from the organizations that the caller sees, because the foreign key would also accept removed
  // ones.
  const row = await db
    .insertInto('app.apiTokens')
    .columns(['organizationId', 'name', 'prefix', 'tokenHash', 'scopes', 'expiresAt'])
    .expression(from =>
      from
        .selectFrom('auth.organizations')
        .select([
          'auth.organizations.id',
          sql<string>`${values.name}::text`.as('name'),
          sql<string>`${values.prefix}::text`.as('prefix'),
          sql<Buffer>`${values.tokenHash}::bytea`.as('tokenHash'),
          sql<string[]>`${values.scopes}::text[]`.as('scopes'),
          sql<Date | null>`${values.expiresAt}::timestamptz`.as('expiresAt'),
        ])
        .where('auth.organizations.id', '=', organizationId),
    )
    .returning(NEW_COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('organization')
  return { ...row, token }
}

/**
 * Lists the caller's tokens, newest first, including revoked and expired ones, but without those of removed
 * organizations.
 */
export function listTokens(db: Database): Promise<ApiToken[]> {
  return db
    .selectFrom('app.apiTokens')
    .select(COLUMNS)
    .where('deletionId', 'is', null)
    .orderBy('id', 'desc')
    .execute()
}

/** Revokes a token; does nothing if it is already revoked. */
export async function revokeToken(db: Database, id: string): Promise<ApiToken> {
  const row = await db
    .updateTable('app.apiTokens')
    .set({ revokedAt: sql<Date>`coalesce(revoked_at, now())` })
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (!row) throw notFound('API token')
  return row
}

/**
 * Creates a token with the name, scopes, organization and expiry of an old one, which expires after the grace
 * period. Locks the old token's row, so that one of several concurrent rotations wins. Throws
 * `illegal_transition` for a token that is revoked, expired or rotated.
 */
export async function rotateToken(db: Database, { id, graceSeconds }: RotateToken): Promise<NewApiToken> {
  const token = createApiToken()
  const outcome = await db
    .with('old', cte =>
      cte
        .selectFrom('app.apiTokens')
        .select(['organizationId', 'name', 'scopes', 'expiresAt', STATE.as('state')])
        .where('id', '=', id)
        .where('deletionId', 'is', null)
        .forUpdate(),
    )
    .with('created', cte =>
      cte
        .insertInto('app.apiTokens')
        .columns(['organizationId', 'name', 'prefix', 'tokenHash', 'scopes', 'expiresAt'])
        .expression(from =>
          from
            .selectFrom('old')
            .select([
              'organizationId',
              'name',
              sql<string>`${shownPrefix(token)}::text`.as('prefix'),
              sql<Buffer>`${storedApiToken(token)}::bytea`.as('tokenHash'),
              'scopes',
              'expiresAt',
            ])
            .where('state', '=', 'live'),
        )
        .returning(NEW_COLUMNS),
    )
    .with('replaced', cte =>
      cte
        .updateTable('app.apiTokens')
        .from('created')
        .set({
          replacedBy: sql<string>`created.id`,
          graceUntil: sql<Date>`now() + make_interval(secs => ${graceSeconds})`,
        })
        .where('app.apiTokens.id', '=', id)
        .returning('app.apiTokens.id'),
    )
    .selectFrom('old')
    .leftJoin('created', join => join.onTrue())
    .select(['old.state', ...NEW_COLUMNS.map(column => `created.${column}` as const)])
    .executeTakeFirst()
  if (!outcome) throw notFound('API token')
  const { state, ...created } = outcome
  if (created.id === null)
    throw new AppError('illegal_transition', `cannot rotate API token "${id}": it is ${state}`)
  return { ...(created as Omit<NewApiToken, 'token'>), token }
}

const STATE = sql<'live' | 'revoked' | 'rotated' | 'expired'>`
  case
    when revoked_at is not null then 'revoked'
    when replaced_by is not null then 'rotated'
    when expires_at <= now() then 'expired'
    else 'live'
  end`
