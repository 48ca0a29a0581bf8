import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { isServerDown } from '#server/db/errors.ts'
import type { WaitBounds } from '#server/db/time-budget.ts'

// Separate from the translation of errors, which imports the library: this module is loaded with the server.

/**
 * How long one request may wait for the database, and the failure that it met. The library's endpoints answer
 * a failed lookup as "not signed in", which is wrong for an outage.
 */
export interface RequestTrouble extends WaitBounds {
  isDatabaseUnavailable: boolean
}

export const requestTrouble = new AsyncLocalStorage<RequestTrouble>()

const BROKEN_CONNECTION =
  /^Connection terminated|timeout exceeded when trying to connect|not queryable|Query read timeout/

/** True if the database was unavailable, as opposed to having refused. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return isServerDown(error.code)
  if (!(error instanceof Error)) return false
  if (error.name === 'DatabaseUnavailableError' || error.name === 'AggregateError') return true
  const code = 'code' in error ? String(error.code) : ''
  return /^E[A-Z]{3,}$/.test(code) || BROKEN_CONNECTION.test(error.message)
}
