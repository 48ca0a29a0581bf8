import { z } from 'zod'

export const DEFAULT_PAGE_SIZE = 20
export const MAX_PAGE_SIZE = 100

/** The input of every list that is read by key. */
export const pageInput = {
  cursor: z.string().max(200).optional(),
  limit: z.int().min(1).max(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
}

export interface Page<T> {
  items: T[]
  /** Where the next page starts; null behind the last one. */
  nextCursor: string | null
}

/**
 * Makes a page of `rows`, of which one more than `limit` was read to learn whether another page follows. `keyOf` gives the
 * sort key of a row, from which its cursor is made.
 */
export function toPage<T>(rows: T[], limit: number, keyOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last !== undefined ? keyOf(last) : null }
}
