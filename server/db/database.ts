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

/** The database as its caller may see it. A transaction is one, too. */
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

/** Lends connections to a scope of its own or, without one, to the ambient scope of {@link withScope}. */
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

/** A database whose every statement travels with `scope`. Cheap: no pool, dialect or compiler is made. */
export function scopedDatabase(pool: LoginPool, scope: StatementScope): Kysely<DB> {
  return kysely(pool, scope)
}

/** What everyone may read, for whom no credential is needed. The pool is the public login's. */
export function publicDatabase(pool: LoginPool, scope: Omit<PublicScope, 'credential'>): Kysely<DB> {
  return kysely(pool, { ...scope, credential: null })
}

/**
 * A database whose statements travel with the scope of the surrounding {@link withScope}, and throw without
 * one.
 */
export function ambientDatabase(pool: LoginPool): Kysely<DB> {
  return kysely(pool, null)
}

/** Asks the database who holds the scope's credential. Throws {@link SignInError} as any statement would. */
export async function signIn(pool: LoginPool, scope: StatementScope): Promise<Identity> {
  // Nobody's share: who holds a transaction and asks again must not wait for themselves.
  const connection = await pool.checkOut({ signal: scope.signal, budget: scope.budget })
  try {
    return identityOf(await new ScopedConnection(connection, scope).signIn())
  } finally {
    connection.release()
  }
}

/**
 * Notes that the scope's credential was used. Not part of the statement it was used for, which may be
 * read-only.
 */
export async function touchCredential(db: Database): Promise<void> {
  await db.selectNoFrom(sql`app.touch_credential()`.as('touched')).execute()
}
