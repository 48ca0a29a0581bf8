import type { CompiledQuery, DatabaseConnection, QueryResult, TransactionSettings } from 'kysely'
import { type LoginConnection, type PipelineBounds, statementTimeoutMs } from '#server/postgres/login-pool.ts'
import { ENTER_PUBLIC, UNHURRIED } from '#server/postgres/session-settings.ts'
import { isSignInRefusal, SignInError } from './errors.ts'
import { noteUser, type SignInRow } from './identity.ts'
import type { Step, StepResult } from './pipeline.ts'
import type { PublicScope, StatementScope } from './scope.ts'
import { checkStatement } from './statement-filter.ts'

const SIGN_IN = 'select user_id, is_touch_due, is_slide_due from app.sign_in($1, $2, $3, $4, $5)'
const IDENTIFY = 'select * from app.sign_in($1, $2, $3, $4, $5)'

function signInStep(scope: StatementScope | PublicScope, sql = SIGN_IN): Step {
  const timeoutMs = statementTimeoutMs(scope)
  if (scope.credential === null) return { sql: ENTER_PUBLIC, values: [String(timeoutMs)] }
  return {
    sql,
    values: [scope.credential, scope.organizationId, scope.permission, scope.isReadOnly, timeoutMs],
  }
}

/**
 * A connection checked out for one scope: each statement outside a transaction is sent with its own sign-in.
 */
export class ScopedConnection implements DatabaseConnection {
  readonly #connection: LoginConnection
  readonly #scope: StatementScope | PublicScope
  /** Statements to send together with the transaction's first statement. */
  #opening: Step[] | null = null
  #isInTransaction = false

  constructor(connection: LoginConnection, scope: StatementScope | PublicScope) {
    this.#connection = connection
    this.#scope = scope
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    checkStatement(query.sql)
    const { rows, command, rowCount } = await this.#send({ sql: query.sql, values: query.parameters })
    return command === 'SELECT'
      ? { rows: rows as R[] }
      : { rows: rows as R[], numAffectedRows: BigInt(rowCount) }
  }

  /** Only signs in. */
  async signIn(): Promise<SignInRow> {
    const [signedIn] = await this.#pipeline([signInStep(this.#scope, IDENTIFY)], 0)
    return this.#noteSignIn(signedIn)
  }

  begin(settings: TransactionSettings): void {
    const level = settings.isolationLevel ? ` isolation level ${settings.isolationLevel}` : ''
    const access = settings.accessMode ? ` ${settings.accessMode}` : ''
    this.#opening = [{ sql: `begin${level}${access}`, values: [] }, signInStep(this.#scope)]
    if (this.#scope.credential !== null && this.#scope.isUnhurried) {
      this.#opening.push({ sql: UNHURRIED, values: [] })
    }
  }

  async commit(): Promise<void> {
    await this.#end('commit')
  }

  async rollback(): Promise<void> {
    await this.#end('rollback')
  }

  /** Sends a savepoint command. Skips the statement filter, which would refuse it from a caller. */
  async control(sql: string): Promise<void> {
    await this.#send({ sql, values: [] })
  }

  // biome-ignore lint/correctness/useYield: part of Kysely's interface, which has no other way to refuse
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('streaming is not supported: read pages by key instead')
  }

  async #end(sql: 'commit' | 'rollback'): Promise<void> {
    this.#opening = null
    if (!this.#isInTransaction) return
    this.#isInTransaction = false
    try {
      const [ended] = await this.#connection.pipeline([{ sql, values: [] }], this.#bounds(sql === 'commit'))
      // Postgres answers the commit of a failed transaction with ROLLBACK, not with an error.
      if (sql === 'commit' && ended?.command !== 'COMMIT')
        throw new Error('the transaction was rolled back because a statement had failed')
    } catch (error) {
      this.#connection.condemn()
      if (sql === 'commit') throw error
    }
  }

  async #send(step: Step): Promise<StepResult> {
    if (this.#isInTransaction) return lastOf(await this.#pipeline([step], -1))
    const opening = this.#opening
    if (opening) {
      this.#opening = null
      this.#isInTransaction = true
      const results = await this.#pipeline([...opening, step], 1)
      this.#noteSignIn(results[1])
      return lastOf(results)
    }
    const results = await this.#pipeline([signInStep(this.#scope), step], 0)
    this.#noteSignIn(results[0])
    return lastOf(results)
  }

  async #pipeline(steps: Step[], signInIndex: number): Promise<StepResult[]> {
    try {
      return await this.#connection.pipeline(steps, this.#bounds(true))
    } catch (error) {
      if (this.#connection.failedStep === signInIndex) throw asSignInError(error)
      throw error
    }
  }

  /** A rollback is sent even if the caller has aborted or its budget is used up. */
  #bounds(isAbortable: boolean): PipelineBounds {
    const { timeoutMs, signal, budget } = this.#scope
    return isAbortable ? { timeoutMs, signal, budget } : { timeoutMs }
  }

  #noteSignIn(result: StepResult | undefined): SignInRow {
    const row = result?.rows[0]
    if (!row) throw new Error('app.sign_in returned no row')
    const scope = this.#scope
    if (scope.credential !== null) {
      noteUser(scope.credential, row)
      if (row.isTouchDue || row.isSlideDue) scope.onTouchDue?.(row.isSlideDue === true)
    }
    return row
  }
}

function lastOf(results: StepResult[]): StepResult {
  const last = results[results.length - 1]
  if (!last) throw new Error('the server answered no statement')
  return last
}

function asSignInError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string }
  if (code !== '28000' && code !== '42501') return error
  return isSignInRefusal(message) ? new SignInError(message, { cause: error }) : error
}
