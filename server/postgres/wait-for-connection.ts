import type pg from 'pg'
import { DatabaseUnavailableError, StatementAbortedError } from '#server/db/errors.ts'
import type { WaitBounds } from '#server/db/time-budget.ts'

/**
 * Waits for a pool's connection until the budget ends or the caller aborts. A connection that arrives later
 * returns to the pool at once. Throws {@link DatabaseUnavailableError} and {@link StatementAbortedError}.
 */
export function waitForConnection(
  connecting: Promise<pg.PoolClient>,
  { budget, signal }: WaitBounds,
): Promise<pg.PoolClient> {
  if (!budget && !signal) return connecting
  return new Promise((resolve, reject) => {
    let isOver = false
    const settle = () => {
      isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (error: Error) => {
      settle()
      reject(error)
    }
    const onAbort = () => giveUp(new StatementAbortedError())
    const timer = budget && setTimeout(() => giveUp(outOfTime()), Math.max(0, budget.leftMs))
    signal?.addEventListener('abort', onAbort, { once: true })
    connecting.then(
      client => {
        if (isOver) return client.release()
        settle()
        resolve(client)
      },
      error => {
        settle()
        reject(error)
      },
    )
  })
}

export function outOfTime(): DatabaseUnavailableError {
  return new DatabaseUnavailableError('the request has used its whole time budget waiting for the database')
}
