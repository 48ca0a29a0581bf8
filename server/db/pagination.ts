export interface Page<T> {
  items: T[]
  /** The start of the next page; null on the last page. */
  nextCursor: string | null
}

/**
 * Builds a page from `rows`, which were read with one more than `limit` to learn whether another page
 * follows. `keyOf` returns a row's sort key, which is its cursor.
 */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? keyOf(last) : null }
}

export interface NumberedPage<T> {
  items: T[]
  /** The number of rows on all pages. */
  total: number
}

/** The range of rows of a page number, from 1. */
export function rowsOfPage({ page, pageSize }: { page: number; pageSize: number }): {
  limit: number
  offset: number
} {
  return { limit: pageSize, offset: (page - 1) * pageSize }
}

/**
 * Builds a numbered page from rows that each carry the total, counted by the same statement. After the last
 * page no row carries it, so `count` is called.
 */
export async function toNumberedPage<R extends { total: number }, T>(
  rows: readonly R[],
  toItem: (row: R) => T,
  count: () => Promise<number>,
): Promise<NumberedPage<T>> {
  return { items: rows.map(toItem), total: rows[0]?.total ?? (await count()) }
}
