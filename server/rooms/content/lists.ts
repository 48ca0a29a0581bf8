import { type SelectQueryBuilder, sql } from 'kysely'
import type { Database } from '#server/db/database.ts'
import { type NumberedPage, type Page, rowsOfPage, toNumberedPage, toPage } from '#server/db/pagination.ts'
import { deletedOperator } from '#server/db/soft-delete.ts'
import type { DB } from '#server/db/types.ts'
import { hasItsMedia, type JoinedRow, joinParents, SUMMARY_COLUMNS, toSummary } from './content.ts'
import type { ContentSummary, ListContent } from './schema.ts'

/**
 * Lists the caller's content and that of their organizations, newest first. With a search, in web search
 * syntax, lists the best match first. Paged by cursor, or by page number with the total.
 */
export function listContent(
  db: Database,
  input: ListContent,
): Promise<Page<ContentSummary> | NumberedPage<ContentSummary>> {
  return 'page' in input ? listNumbered(db, input) : listByCursor(db, input)
}

type Numbered = Extract<ListContent, { page: number }>
type ByCursor = Exclude<ListContent, Numbered>

async function listByCursor(db: Database, input: ByCursor): Promise<Page<ContentSummary>> {
  const { limit, cursor } = input
  const words = wordsOf(input)
  const listed = db.with('content', query => {
    let rows = filtered(query.selectFrom('app.content').select(SUMMARY_COLUMNS), input)
      .select(rankOf(words).as('rank'))
      .limit(limit + 1)
    if (cursor) {
      const [id = '', rank] = cursor.split('_').toReversed()
      rows = words
        ? rows.where(sql<boolean>`(${rankOf(words)}, id) < (${Number(rank ?? 0)}::real, ${id}::uuid)`)
        : rows.where('id', '<', id)
    }
    return (words ? rows.orderBy('rank', 'desc') : rows).orderBy('id', 'desc')
  })
  const rows = await joinParents(listed)
    .$castTo<JoinedRow & { rank: number | null }>()
    .orderBy(sql`content.rank`, ordering => ordering.desc().nullsLast())
    .orderBy('content.id', 'desc')
    .execute()
  const page = toPage(rows, limit, row => (words ? `${row.rank}_${row.id}` : row.id))
  return { ...page, items: page.items.map(toSummary) }
}

async function listNumbered(db: Database, input: Numbered): Promise<NumberedPage<ContentSummary>> {
  const words = wordsOf(input)
  const { limit, offset } = rowsOfPage(input)
  const listed = db.with('content', query => {
    const rows = filtered(query.selectFrom('app.content').select(SUMMARY_COLUMNS), input)
      .select([rankOf(words).as('rank'), sql<number>`(count(*) over ())::int`.as('total')])
      .limit(limit)
      .offset(offset)
    return (words ? rows.orderBy('rank', 'desc') : rows).orderBy('id', 'desc')
  })
  const rows = await joinParents(listed)
    .$castTo<JoinedRow & { total: number }>()
    .orderBy(sql`content.rank`, ordering => ordering.desc().nullsLast())
    .orderBy('content.id', 'desc')
    .execute()
  return toNumberedPage(rows, toSummary, async () => {
    const { total } = await filtered(
      db.selectFrom('app.content').select(sql<number>`count(*)::int`.as('total')),
      input,
    ).executeTakeFirstOrThrow()
    return total
  })
}

function wordsOf({ search }: ListContent): string | null {
  return search?.trim() ? search : null
}

/** The rank of a row for these words; null without a search. */
function rankOf(words: string | null) {
  return words === null
    ? sql<number | null>`null::real`
    : sql<number | null>`ts_rank(search, (select app.search_query(${words})))`
}

/** Adds the list's filters. Only the owner's key is indexed; text and tags are compared row by row. */
function filtered<O>(
  query: SelectQueryBuilder<DB, 'app.content', O>,
  input: ListContent,
): SelectQueryBuilder<DB, 'app.content', O> {
  const words = wordsOf(input)
  const deleted = deletedOperator(input.deleted)
  let rows = query
  if (deleted) rows = rows.where('deletedAt', deleted, null)
  if (deleted === 'is') rows = rows.where(hasItsMedia)
  if (input.status) rows = rows.where('status', '=', input.status)
  if (input.type) rows = rows.where('contentType', '=', input.type)
  if (input.organizationId) rows = rows.where('organizationId', '=', input.organizationId)
  if (input.tags?.length) rows = rows.where(sql<boolean>`tags @> ${input.tags}::text[]`)
  // A subquery parses the search once, not once a row.
  if (words) rows = rows.where(sql<boolean>`search @@ (select app.search_query(${words}))`)
  return rows
}
