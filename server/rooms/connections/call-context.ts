import type { Services } from '#server/app/services.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import type { StatementScope } from '#server/db/scope.ts'

/** What a procedure knows of its call. */
export interface CallContext {
  readonly db: Database
  readonly scope: StatementScope
  readonly services: Services
  identity(): Promise<Identity>
}

/** One use of a connection. */
export interface ConnectionUse {
  readonly identity: Identity
  readonly services: Services
  /**
   * Writes, also for a query, whose own statements are read-only, and until it is done: tokens that a provider gave out are
   * stored even when their caller has left.
   */
  readonly writer: Database
  readonly signal: AbortSignal | undefined
}

/** Makes a database for what a provider's answer leads to. */
export function writerOf({ services, scope }: Pick<CallContext, 'services' | 'scope'>): Database {
  return scopedDatabase(services.pools.api, { ...scope, isReadOnly: false, signal: undefined })
}
