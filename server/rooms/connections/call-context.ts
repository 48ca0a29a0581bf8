import type { Services } from '#server/app/services.ts'
import { type Database, scopedDatabase } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import type { StatementScope } from '#server/db/scope.ts'

/** A procedure's context. */
export interface CallContext {
  readonly db: Database
  readonly scope: StatementScope
  readonly services: Services
  identity(): Promise<Identity>
}

export interface ConnectionUse {
  readonly identity: Identity
  readonly services: Services
  /**
   * A connection that may write, even during a query, and that no abort signal stops: a provider's new tokens
   * are stored even if the caller has left.
   */
  readonly writer: Database
  readonly signal: AbortSignal | undefined
}

/** Creates a database for writing the results of a provider's answer. */
export function writerOf({ services, scope }: Pick<CallContext, 'services' | 'scope'>): Database {
  return scopedDatabase(services.pools.api, { ...scope, isReadOnly: false, signal: undefined })
}
