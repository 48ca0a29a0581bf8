import { sql } from 'kysely'

// How rows are removed and restored, in every room. A removal sets a new deletion_id; app.follow_deletion, a
// trigger of the parent, copies it to dependent rows that could also be removed alone. Restoring clears the
// mark by its id, and so restores exactly the rows of that removal. Rows that can't be removed alone (a
// task's log, messages and runs) have no mark and follow their parent by join.

/**
 * The values that remove a row; the update must have `deletedAt is null` among its conditions, to keep an
 * earlier removal.
 */
export const REMOVED = Object.freeze({
  deletedAt: sql<Date>`now()`,
  deletionId: sql<string>`app.new_id()`,
})

/** The values that restore a removed row. */
export const RESTORED = Object.freeze({ deletedAt: null, deletionId: null })

export type DeletedFilter = 'exclude' | 'include' | 'only'

/** A list's comparison with `deletedAt`; null if it shows all rows. */
export function deletedOperator(deleted: DeletedFilter): 'is' | 'is not' | null {
  if (deleted === 'include') return null
  return deleted === 'only' ? 'is not' : 'is'
}
