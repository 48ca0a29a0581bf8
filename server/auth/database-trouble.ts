import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { isServerDown } from '#server/db/errors.ts'

// Apart from the translation of errors, which needs the library: this is loaded with the server.

/** What one request met. Endpoints of the library answer a failed lookup as "not signed in", which an outage is not. */
export const requestTrouble = new AsyncLocalStorage<{ isDatabaseUnavailable: boolean }>()

const BROKEN_CONNECTION =
  /^Connection terminated|timeout exceeded when trying to connect|not queryable|Query read timeout/

/** Whether the database could not be asked, as opposed to having refused. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return isServerDown(error.code)
  if (!(error instanceof Error)) return false
  if (error.name === 'DatabaseUnavailableError' || error.name === 'AggregateError') return true
  const code = 'code' in error ? String(error.code) : ''
  return /^E[A-Z]{3,}$/.test(code) || BROKEN_CONNECTION.test(error.message)
}
