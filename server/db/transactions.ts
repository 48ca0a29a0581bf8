import type { IsolationLevel, Kysely, Transaction } from 'kysely'
import { isSerializationFailure } from './errors.ts'
import type { DB } from './types.ts'

interface TransactionOptions {
  /** Postgres's default is `read committed`; `serializable` needs the retries. */
  readonly isolationLevel?: IsolationLevel
  /** The maximum number of attempts. */
  readonly attempts?: number
}

const FIRST_PAUSE_MS = 5

/**
 * Runs `work` in one transaction: commits when it returns, rolls back when it throws. After a serialization
 * failure or a deadlock it runs again from the start, so `work` must have no effect outside the database.
 */
export async function inTransaction<T>(
  db: Kysely<DB>,
  work: (transaction: Transaction<DB>) => Promise<T>,
  { isolationLevel, attempts = 5 }: TransactionOptions = {},
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const transaction = db.transaction()
      return await (isolationLevel ? transaction.setIsolationLevel(isolationLevel) : transaction).execute(
        work,
      )
    } catch (error) {
      if (attempt >= attempts || !isSerializationFailure(error)) throw error
      // A random pause, so that the conflicting transactions do not conflict again.
      await pause(FIRST_PAUSE_MS * 2 ** attempt * Math.random())
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
