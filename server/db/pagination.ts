export interface Page<T> {
  items: T[]
  /** Where the next page starts; null behind the last one. */
  nextCursor: string | null
}

/**
 * Makes a page of `rows`, of which one more than `limit` was read to learn whether another page follows.
 * `keyOf` gives the sort key of a row, which is its cursor.
 */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? keyOf(last) : null }
}

export interface NumberedPage<T> {
  items: T[]
  /** How many there are on all pages. */
  total: number
}

/** The rows of a page that is asked for by its number, counted from 1. */
export function rowsOfPage({ page, pageSize }: { page: number; pageSize: number }): {
  limit: number
  offset: number
} {
  return { limit: pageSize, offset: (page - 1) * pageSize }
}

/**
 * Makes a numbered page of rows that each carry the total, counted in the statement that read them. Behind
 * the last page no row carries it, and `count` is asked.
 */
export async function toNumberedPage<R extends { total: number }, T>(
  rows: readonly R[],
  toItem: (row: R) => T,
  count: () => Promise<number>,
): Promise<NumberedPage<T>> {
  return { items: rows.map(toItem), total: rows[0]?.total ?? (await count()) }
}
