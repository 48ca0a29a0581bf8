import { sql } from 'kysely'
import { scopedDatabase } from '#server/db/database.ts'
import type { StatementScope } from '#server/db/scope.ts'
import { LoginPool } from '#server/postgres/login-pool.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import type { House } from '../actors.ts'
import { type Household, sessionCredential } from './dataset.ts'
import { OBSERVATION } from './leftovers.ts'

/**
 * An attacker's SQL in a statement of the server's, on a pool of one connection, which the victim's
 * statements run on as well.
 */
export interface Injector {
  readonly pool: LoginPool
  scopeOf(user: Household, isReadOnly: boolean): StatementScope
  /** The rows of an answer as text, or the error. */
  inject(text: string): Promise<string>
  /** Everything that the victim's statement could notice about the connection it runs on. */
  lookAround(): Promise<Record<string, unknown> | undefined>
}

export function openInjector(
  house: House,
  { attacker, victim }: { attacker: Household; victim: Household },
): Injector {
  const pool = new LoginPool({
    connection: toPgConfig(house.database.directUrls.api),
    isNamed: true,
    maxConnections: 1,
  })
  const scopeOf = (user: Household, isReadOnly: boolean): StatementScope => ({
    credential: sessionCredential(user),
    organizationId: null,
    permission: 'session',
    isReadOnly,
    timeoutMs: 5_000,
  })
  return {
    pool,
    scopeOf,
    async inject(text) {
      const db = scopedDatabase(pool, scopeOf(attacker, false))
      try {
        const { rows } = await sql.raw(text).execute(db)
        return JSON.stringify(rows)
      } catch (error) {
        return String(error)
      }
    },
    async lookAround() {
      const scope = scopeOf(victim, false)
      const connection = await pool.checkOut()
      try {
        const signIn = {
          sql: 'select * from app.sign_in($1, $2, $3, $4, $5)',
          values: [scope.credential, null, scope.permission, scope.isReadOnly, scope.timeoutMs],
        }
        const [, seen] = await connection.pipeline([signIn, { sql: OBSERVATION, values: [] }], scope)
        return seen?.rows[0]
      } finally {
        connection.release()
      }
    },
  }
}
