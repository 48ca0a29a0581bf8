import {
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  type Dialect,
  type Driver,
  Kysely,
  type KyselyProps,
  PostgresAdapter,
  PostgresIntrospector,
  sql,
  type Transaction,
} from 'kysely'
import type { Claimant } from '#server/postgres/connection-shares.ts'
import type { LoginPool } from '#server/postgres/login-pool.ts'
import { SnakeCaseCompiler } from './columns.ts'
import { type Identity, identityOf, lastKnownUser } from './identity.ts'
import { currentScope, type PublicScope, type StatementScope } from './scope.ts'
import { ScopedConnection } from './scoped-connection.ts'
import type { DB } from './types.ts'

/** The database under its caller's scope, or a transaction on it. */
export type Database = Kysely<DB> | Transaction<DB>

const compiler = new SnakeCaseCompiler()
const adapter = new PostgresAdapter()

class ScopedDriver implements Driver {
  async init(): Promise<void> {}

  acquireConnection(): Promise<DatabaseConnection> {
    throw new Error('connections are provided by the executor, which knows the scope')
  }

  async beginTransaction(
    connection: DatabaseConnection,
    settings: Parameters<ScopedConnection['begin']>[0],
  ): Promise<void> {
    scoped(connection).begin(settings)
  }

  commitTransaction(connection: DatabaseConnection): Promise<void> {
    return scoped(connection).commit()
  }

  rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    return scoped(connection).rollback()
  }

  savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return scoped(connection).control(`savepoint ${identifier(name)}`)
  }

  rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return scoped(connection).control(`rollback to savepoint ${identifier(name)}`)
  }

  releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    return scoped(connection).control(`release savepoint ${identifier(name)}`)
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}

function scoped(connection: DatabaseConnection): ScopedConnection {
  if (connection instanceof ScopedConnection) return connection
  throw new Error('not a scoped connection')
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

const driver = new ScopedDriver()
const dialect: Dialect = {
  createDriver: () => driver,
  createQueryCompiler: () => compiler,
  createAdapter: () => adapter,
  createIntrospector: db => new PostgresIntrospector(db),
}
const config = { dialect }

/** Provides connections with a given scope or, without one, with the ambient scope of {@link withScope}. */
class ScopedConnections implements ConnectionProvider {
  readonly #pool: LoginPool
  readonly #scope: StatementScope | PublicScope | null

  constructor(pool: LoginPool, scope: StatementScope | PublicScope | null) {
    this.#pool = pool
    this.#scope = scope
  }

  async provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    const scope = this.#scope ?? currentScope()
    const connection = await this.#pool.checkOut(claimantOf(scope))
    try {
      return await consumer(new ScopedConnection(connection, scope))
    } finally {
      connection.release()
    }
  }
}

function claimantOf(scope: StatementScope | PublicScope): Claimant {
  if (scope.credential === null) return scope
  const { credential, isReadOnly, signal, budget } = scope
  return { caller: lastKnownUser(credential) ?? credential, isReadOnly, signal, budget }
}

function kysely(pool: LoginPool, scope: StatementScope | PublicScope | null): Kysely<DB> {
  const executor = new DefaultQueryExecutor(compiler, adapter, new ScopedConnections(pool, scope))
  const props: KyselyProps = { config, driver, executor, dialect }
  return new Kysely<DB>(props)
}

/** A database that sends `scope` with every statement. Cheap: creates no pool, dialect or compiler. */
export function scopedDatabase(pool: LoginPool, scope: StatementScope): Kysely<DB> {
  return kysely(pool, scope)
}

/** The database that everyone may read without a credential, through the public login's pool. */
export function publicDatabase(pool: LoginPool, scope: Omit<PublicScope, 'credential'>): Kysely<DB> {
  return kysely(pool, { ...scope, credential: null })
}

/**
 * A database that sends the scope of the surrounding {@link withScope} with every statement, and throws
 * without one.
 */
export function ambientDatabase(pool: LoginPool): Kysely<DB> {
  return kysely(pool, null)
}

/** Returns the identity of the scope's credential. Throws {@link SignInError} as any statement would. */
export async function signIn(pool: LoginPool, scope: StatementScope): Promise<Identity> {
  // Outside of the caller's share: a caller that holds a transaction and signs in again must not wait for
  // itself.
  const connection = await pool.checkOut({ signal: scope.signal, budget: scope.budget })
  try {
    return identityOf(await new ScopedConnection(connection, scope).signIn())
  } finally {
    connection.release()
  }
}

/**
 * Records that the scope's credential was used. Not part of the statement that used it, which may be
 * read-only.
 */
export async function touchCredential(db: Database): Promise<void> {
  await db.selectNoFrom(sql`app.touch_credential()`.as('touched')).execute()
}
