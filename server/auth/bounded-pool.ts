// Better Auth sends its statements one after the other and continues after one that failed. All statements of
// a request share one deadline, so the pool looks up the request of each statement.

import type { PostgresPool, PostgresPoolClient } from 'kysely'
import pg, { type Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg'
import { DatabaseUnavailableError } from '#server/db/errors.ts'
import { TimeBudget } from '#server/db/time-budget.ts'
import { outOfTime, waitForConnection } from '#server/postgres/wait-for-connection.ts'
import { requestTrouble } from './database-trouble.ts'

export interface BoundedPool extends PostgresPool {
  query<R extends QueryResultRow>(text: string, values: readonly unknown[]): Promise<QueryResult<R>>
}

/**
 * The same pool, limited by the bounds of the current request: {@link requestTrouble}. Statements and waits
 * for a connection share one deadline, nothing is sent after the database was unavailable, and an aborted
 * caller stops waiting.
 */
export function boundByRequest(pool: Pool): BoundedPool {
  return {
    options: pool.options,
    connect: async () => new BoundedClient(await borrow(pool)) as unknown as PostgresPoolClient,
    query: async (text, values) => {
      const client = new BoundedClient(await borrow(pool))
      try {
        return await client.query(text, values)
      } finally {
        client.release()
      }
    },
    end: () => pool.end(),
  }
}

async function borrow(pool: Pool): Promise<PoolClient> {
  const request = requestTrouble.getStore() ?? { isDatabaseUnavailable: false }
  const { budget } = request
  if (request.isDatabaseUnavailable) throw new DatabaseUnavailableError('the database is not available')
  if (budget && budget.leftMs <= 0) throw outOfTime()
  budget?.begin()
  try {
    return await waitForConnection(pool.connect(), request)
  } finally {
    budget?.end()
  }
}

class BoundedClient {
  readonly #client: PoolClient
  #isAnswered = true

  constructor(client: PoolClient) {
    this.#client = client
  }

  async query<R extends QueryResultRow>(text: string, values: readonly unknown[]): Promise<QueryResult<R>> {
    const budget = requestTrouble.getStore()?.budget ?? new TimeBudget()
    if (budget.leftMs <= 0) throw outOfTime()
    budget.begin()
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(outOfTime()), budget.leftMs)
    try {
      return await Promise.race([this.#client.query<R>(text, [...values]), late.promise])
    } catch (error) {
      this.#isAnswered = error instanceof pg.DatabaseError
      throw error
    } finally {
      clearTimeout(timer)
      budget.end()
    }
  }

  release(): void {
    // A connection that still waits for an answer would delay its next user.
    this.#client.release(!this.#isAnswered)
  }
}
