import { sql } from 'kysely'

// How rows are removed and come back, in every room. A removal gives its row a deletion_id of its own;
// app.follow_deletion, a trigger of the parent's, gives the same to the rows that hang on it and could be
// removed alone. Restoring takes the mark away by its id, and so brings back exactly the rows that went with
// it, and none that was removed before. What can't be removed alone (a task's log, its messages, its runs)
// has no mark and follows its parent by join.

/**
 * What an update sets to remove a row; with `deletedAt is null` among its conditions, so that a removal
 * stands.
 */
export const REMOVED = Object.freeze({
  deletedAt: sql<Date>`now()`,
  deletionId: sql<string>`app.new_id()`,
})

/** What an update sets to bring a removed row back. */
export const RESTORED = Object.freeze({ deletedAt: null, deletionId: null })

/** Which rows a list shows. */
export type DeletedFilter = 'exclude' | 'include' | 'only'

/** The comparison with `deletedAt` that a list makes; null where it shows all. */
export function deletedOperator(deleted: DeletedFilter): 'is' | 'is not' | null {
  if (deleted === 'include') return null
  return deleted === 'only' ? 'is not' : 'is'
}
