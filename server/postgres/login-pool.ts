import pg from 'pg'
import { CallerBusyError, DatabaseUnavailableError, StatementAbortedError } from '#server/db/errors.ts'
import { Pipeline, type Step, type StepResult } from '#server/db/pipeline.ts'
import { PreparedStatements } from '#server/db/prepared-statements.ts'
import type { WaitBounds } from '#server/db/time-budget.ts'
import { type Cancellable, sendCancelRequest } from './cancel-request.ts'
import { type Claimant, ConnectionShares, NoConnectionError } from './connection-shares.ts'
import { PostgresClient, type PostgresConfig } from './postgres-client.ts'
import { outOfTime, waitForConnection } from './wait-for-connection.ts'

export interface LoginPoolOptions {
  /** A Postgres URL of one of the serving logins; `?pgbouncer=true` sends statements unnamed. */
  readonly connection: PostgresConfig
  readonly isNamed: boolean
  readonly maxConnections?: number
  readonly connectTimeoutMs?: number
  /** Called if an idle connection fails. */
  readonly onIdleError?: (error: Error) => void
  /** Called after every statement with its SQL, without its values. */
  readonly onStatement?: ((sql: string, durationMs: number) => void) | undefined
}

export interface PipelineBounds extends WaitBounds {
  readonly timeoutMs: number
}

/** Extra time beyond the server's own deadline before the connection counts as dead. */
const GRACE_MS = 2_000
/** The minimum timeout of a statement. */
const MIN_TIMEOUT_MS = 100

/** The server's timeout for a statement of this scope, so that its answer arrives within the budget. */
export function statementTimeoutMs({ timeoutMs, budget }: PipelineBounds): number {
  if (!budget) return timeoutMs
  return Math.max(MIN_TIMEOUT_MS, Math.min(timeoutMs, Math.floor(budget.leftMs - GRACE_MS)))
}

const DEFAULT_MAX_CONNECTIONS = 10
/** How long a pool waits for a connection if its URL has no connect_timeout. */
export const CONNECT_TIMEOUT_MS = 5_000

/** SQLSTATE classes and codes after which the server is ready for the next statement. */
const CLEAN_ERRORS = /^(22|23|28|40|42|RH|P0)|^(25006|54|55P03)/

/** The connections of one login. The first statement opens the first connection. */
export class LoginPool {
  readonly #pool: pg.Pool
  readonly #options: LoginPoolOptions
  readonly #shares: ConnectionShares

  constructor(options: LoginPoolOptions) {
    const { maxConnections = DEFAULT_MAX_CONNECTIONS, connection } = options
    const connectTimeoutMs =
      options.connectTimeoutMs ?? connection.connectionTimeoutMillis ?? CONNECT_TIMEOUT_MS
    this.#options = options
    this.#shares = new ConnectionShares(maxConnections, connectTimeoutMs)
    this.#pool = new pg.Pool({
      ...connection,
      Client: ReportingClient as unknown as new () => pg.Client,
      max: maxConnections,
      connectionTimeoutMillis: connectTimeoutMs,
      idleTimeoutMillis: 30_000,
    })
    this.#pool.on('error', error => options.onIdleError?.(error))
    this.#pool.on('connect', outliveBreaks)
  }

  /**
   * Checks a connection out, within the share of its caller. The caller must release it. Throws {@link
   * CallerBusyError} if the caller's own statements hold the connections, and {@link StatementAbortedError}
   * if the caller aborts while waiting.
   */
  async checkOut(claimant: Claimant = {}): Promise<LoginConnection> {
    const { budget, signal } = claimant
    if (signal?.aborted) throw new StatementAbortedError()
    if (budget && budget.leftMs <= 0) throw outOfTime()
    budget?.begin()
    try {
      const giveBack = await this.#takeShare(claimant)
      try {
        const client = (await this.#connect(claimant)) as TrackedClient
        client.rowhouse ??= trackClient(client, this.#options.isNamed)
        return new LoginConnection(client, { tracked: client.rowhouse, options: this.#options, giveBack })
      } catch (error) {
        giveBack()
        if (error instanceof StatementAbortedError || error instanceof DatabaseUnavailableError) throw error
        throw new DatabaseUnavailableError('no connection to the database', { cause: error })
      }
    } finally {
      budget?.end()
    }
  }

  async #takeShare(claimant: Claimant): Promise<() => void> {
    try {
      return await this.#shares.take(claimant)
    } catch (error) {
      if (!(error instanceof NoConnectionError)) throw new StatementAbortedError()
      if (error.isOwnFault) throw new CallerBusyError()
      throw new DatabaseUnavailableError('no connection to the database', { cause: error })
    }
  }

  #connect(bounds: WaitBounds): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect()
    // An idle connection is available at once.
    return this.#pool.idleCount >= this.#pool.waitingCount && this.#pool.waitingCount > 0
      ? connecting
      : waitForConnection(connecting, bounds)
  }

  /** Numbers of open connections, of idle ones, and of callers waiting for one. */
  get usage(): { total: number; idle: number; waiting: number } {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#shares.waiting }
  }

  end(): Promise<void> {
    return this.#pool.end()
  }
}

/**
 * A connection that breaks while checked out fails its statement; without this listener, pg would also end
 * the process.
 */
export function outliveBreaks(client: pg.PoolClient): void {
  client.on('error', () => {})
}

/** The state of a physical connection across checkouts. */
interface Tracked {
  readonly prepared: PreparedStatements | null
  /** Settings that differ from their values at connection time, as the server reports them. */
  readonly changed: ReadonlySet<string>
}

interface TrackedClient extends pg.PoolClient {
  rowhouse?: Tracked
}

/**
 * Tracks the settings that the server reports. It reports what sign_in sets for a transaction, and again when
 * the transaction ends; a setting that is still changed then was changed by something else.
 */
class ReportingClient extends PostgresClient {
  readonly changed = new Set<string>()

  constructor(config: PostgresConfig) {
    super(config)
    const { connection } = internals(this)
    const initial = new Map<string, string>()
    let isReady = false
    connection.once('readyForQuery', () => {
      isReady = true
    })
    connection.on('parameterStatus', ({ parameterName, parameterValue }: ParameterStatus) => {
      if (!isReady) initial.set(parameterName, parameterValue)
      else if (initial.get(parameterName) === parameterValue) this.changed.delete(parameterName)
      else this.changed.add(parameterName)
    })
  }
}

interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

interface ClientInternals {
  readonly connection: NodeJS.EventEmitter & { stream: { destroy(): void } }
}

function trackClient(client: pg.PoolClient, isNamed: boolean): Tracked {
  if (!(client instanceof ReportingClient)) throw new Error('not a connection of this pool')
  return { prepared: isNamed ? new PreparedStatements() : null, changed: client.changed }
}

function internals(client: pg.ClientBase): ClientInternals {
  return client as unknown as ClientInternals
}

interface Loan {
  readonly tracked: Tracked
  readonly options: LoginPoolOptions
  /** Returns the share to the pool. */
  readonly giveBack: () => void
}

/** A checked-out connection. Releasing it destroys it if its pipeline did not end cleanly. */
export class LoginConnection {
  readonly #client: pg.PoolClient
  readonly #tracked: Tracked
  readonly #options: LoginPoolOptions
  readonly #giveBack: () => void
  #isBroken = false
  #cancelling: Promise<void> | undefined
  #failedStep = -1

  constructor(client: pg.PoolClient, { tracked, options, giveBack }: Loan) {
    this.#client = client
    this.#tracked = tracked
    this.#options = options
    this.#giveBack = giveBack
  }

  /**
   * Sends `steps` in one packet and waits for their replies. Throws pg's DatabaseError as the server sent it
   * ({@link failedStep} is the statement that failed); {@link DatabaseUnavailableError} if the connection
   * broke or no answer came in time; {@link StatementAbortedError} if the signal fired.
   */
  async pipeline(steps: readonly Step[], bounds: PipelineBounds): Promise<StepResult[]> {
    const { signal, budget } = bounds
    if (signal?.aborted) throw new StatementAbortedError()
    const leftMs = budget ? budget.leftMs : Number.POSITIVE_INFINITY
    if (leftMs <= 0) throw outOfTime()
    const pipeline = new Pipeline(steps, this.#tracked.prepared)
    const deadline = setTimeout(() => this.#giveUp(), Math.min(bounds.timeoutMs + GRACE_MS, leftMs))
    budget?.begin()
    const onAbort = signal ? () => this.#cancel() : undefined
    if (onAbort) signal?.addEventListener('abort', onAbort, { once: true })
    const { onStatement } = this.#options
    const startedAt = onStatement ? performance.now() : 0
    try {
      this.#client.query(pipeline)
      return await pipeline.result
    } catch (error) {
      if (error instanceof pg.DatabaseError) {
        if (!CLEAN_ERRORS.test(error.code ?? '')) this.#isBroken = true
        if (error.code === '57014' && signal?.aborted) throw new StatementAbortedError()
        if (error.code?.startsWith('57P') || error.code?.startsWith('08')) {
          throw new DatabaseUnavailableError('the connection to the database ended', { cause: error })
        }
        this.#failedStep = pipeline.stepIndex
        throw error
      }
      this.#isBroken = true
      if (error instanceof RangeError || error instanceof TypeError) throw error
      throw new DatabaseUnavailableError('the connection to the database broke', { cause: error })
    } finally {
      budget?.end()
      clearTimeout(deadline)
      if (onAbort) signal?.removeEventListener('abort', onAbort)
      onStatement?.(steps.map(step => step.sql).join('; '), performance.now() - startedAt)
    }
  }

  /** The step that failed last; -1 for none. */
  get failedStep(): number {
    return this.#failedStep
  }

  release(): void {
    if (this.#cancelling) {
      // Only after the server has processed the request. A pooler keeps the server connection of a client
      // that closes earlier, and PgBouncer 1.18 crashes: https://github.com/pgbouncer/pgbouncer/issues/822
      void this.#cancelling.then(() => this.#return(true))
    } else {
      this.#return(this.#isBroken || this.#tracked.changed.size > 0)
    }
  }

  #return(isSpoiled: boolean): void {
    this.#client.release(isSpoiled)
    this.#giveBack()
  }

  /** Marks the connection as unusable, so that releasing it destroys it. */
  condemn(): void {
    this.#isBroken = true
  }

  #giveUp(): void {
    this.#isBroken = true
    internals(this.#client).connection.stream.destroy()
  }

  #cancel(): void {
    this.#isBroken = true
    this.#cancelling = sendCancelRequest(
      this.#client as unknown as Cancellable,
      this.#options.connection.plan,
    )
    // The server answers a cancelled statement at once; if the network drops the request, the caller must not
    // wait.
    setTimeout(() => this.#giveUp(), GRACE_MS).unref()
  }
}
