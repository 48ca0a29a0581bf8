import { sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { getConstraintName, isUniqueViolation } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'
import { firstFree, stemOf } from './slug.ts'

/**
 * The content whose slug was taken: a new row, an existing row (perhaps with a new slug), or a row restored
 * with its media item.
 */
export type Contender =
  | { readonly slug: string; readonly organizationId: string | null }
  | { readonly id: string; readonly slug?: string | undefined }
  | { readonly mediaItemId: string }

const SLUG_KEYS = ['content_user_id_slug_key', 'content_organization_id_slug_key']

/** How many slugs of one stem are read to find a free number. */
const MAX_TAKEN = 10_000

/**
 * Turns the violation of a slug key into `unique_violation` with the slug and a free suggestion; rethrows
 * every other error. For use in `catch`, outside of transactions: it runs further statements.
 */
export function namingSlug(db: Database, contender: Contender): (error: unknown) => Promise<never> {
  return async error => {
    const constraint = getConstraintName(error)
    if (!isUniqueViolation(error) || constraint === undefined || !SLUG_KEYS.includes(constraint)) throw error
    const place = await placeOf(db, contender)
    if (!place) throw error
    const { slug, organizationId } = place
    const suggestion = await suggestSlug(db, place)
    const where = organizationId === null ? 'of yours' : 'of the organization'
    const message = `the slug "${slug}" is already used by other content ${where}: "${suggestion}" is free`
    throw new AppError('unique_violation', message, { cause: error, constraint, suggestion })
  }
}

interface Place {
  readonly slug: string
  readonly organizationId: string | null
}

async function placeOf(db: Database, contender: Contender): Promise<Place | undefined> {
  if ('organizationId' in contender) return contender
  let rows = db
    .selectFrom('app.content as own')
    .select(['own.slug', 'own.organizationId'])
    .where(sql<boolean>`own.user_id = (select app.current_user_id())`)
  if ('id' in contender) {
    const row = await rows.where('own.id', '=', contender.id).executeTakeFirst()
    return row && { ...row, slug: contender.slug ?? row.slug }
  }
  rows = rows
    .where('own.mediaItemId', '=', contender.mediaItemId)
    .where('own.deletedAt', 'is not', null)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('app.content as other')
          .select('other.id')
          .whereRef('other.slug', '=', 'own.slug')
          .whereRef('other.id', '<>', 'own.id')
          .where('other.deletedAt', 'is', null)
          .where(
            sql<boolean>`case when own.organization_id is null
              then other.organization_id is null and other.user_id = own.user_id
              else other.organization_id = own.organization_id end`,
          ),
      ),
    )
  return rows.executeTakeFirst()
}

async function suggestSlug(db: Database, { slug, organizationId }: Place): Promise<string> {
  const stem = stemOf(slug)
  let rows = db
    .selectFrom('app.content')
    .select('slug')
    .where('deletedAt', 'is', null)
    .where('slug', '>=', `${stem}-`)
    .where('slug', 'like', `${stem}-%`)
    .limit(MAX_TAKEN)
  rows =
    organizationId === null
      ? rows.where('organizationId', 'is', null).where(sql<boolean>`user_id = (select app.current_user_id())`)
      : rows.where('organizationId', '=', organizationId)
  const taken = await rows.execute()
  return firstFree(
    stem,
    taken.map(row => row.slug),
  )
}
