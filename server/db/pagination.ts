export interface Page<T> {
  items: T[]
  /** Where the next page starts; null behind the last one. */
  nextCursor: string | null
}

/**
 * Makes a page of `rows`, of which one more than `limit` was read to learn whether another page follows. `keyOf` gives the
 * sort key of a row, which is its cursor.
 */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? keyOf(last) : null }
}
