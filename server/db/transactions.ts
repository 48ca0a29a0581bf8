import type { IsolationLevel, Kysely, Transaction } from 'kysely'
import { isSerializationFailure } from './errors.ts'
import type { DB } from './types.ts'

interface TransactionOptions {
  /** Postgres' own default is `read committed`; `serializable` needs the retries. */
  readonly isolationLevel?: IsolationLevel
  /** How often the work is done at most. */
  readonly attempts?: number
}

const FIRST_PAUSE_MS = 5

/**
 * Does `work` in one transaction: commits when it returns, rolls back when it throws. Where the transaction
 * lost against another (a serialization failure or a deadlock) it is done again from its beginning, so `work`
 * has no effect outside the database.
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
      // Those who met must not meet again at once.
      await pause(FIRST_PAUSE_MS * 2 ** attempt * Math.random())
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
