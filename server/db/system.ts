import type { LoginPool } from './login-pool.ts'
import { DEFAULT_TIMEOUT_MS } from './scope.ts'

const ENTER = `select
  pg_catalog.set_config('statement_timeout', $1, true),
  pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)`

/** One caller's view of one task, as a stream reads it. */
export interface WatchedStream {
  readonly credential: string
  readonly organizationId: string | null
  readonly taskId: string
}

/** How far a task is. */
export interface StreamState {
  readonly status: string
  readonly lastLogSeq: number
  readonly lastEventSeq: number
}

/** Why the caller of the n-th stream is refused, or the task's state; both null where there is no such task for them. */
export type WatchedStreamState =
  | ({ readonly n: number; readonly refusal: null } & StreamState)
  | {
      readonly n: number
      readonly refusal: string | null
      readonly status: null
      readonly lastLogSeq: null
      readonly lastEventSeq: null
    }

/**
 * Work that no user's request carries. The login behind it reads no table; it may execute a few functions, which the methods
 * here name.
 */
export class SystemDatabase {
  readonly #pool: LoginPool

  constructor(pool: LoginPool) {
    this.#pool = pool
  }

  /** Counts one call under `key` and tells whether it is within `limit` for the window; the same over all processes. */
  async takeRateLimit(
    key: string,
    limit: number,
    windowSeconds: number,
  ): Promise<{ isAllowed: boolean; retryAfterSeconds: number }> {
    const [row] = await this.#call('select * from app.take_rate_limit($1, $2, $3)', [
      key,
      limit,
      windowSeconds,
    ])
    return { isAllowed: row?.isAllowed === true, retryAfterSeconds: Number(row?.retryAfterSeconds) }
  }

  /**
   * Claims a task for a worker of the operator's, over all users in turn: `afterUserId` is the one who was served last. Null
   * where no task waits.
   */
  async claimTask(
    claim: { worker: string; leaseSeconds: number; credentialHash: Buffer },
    afterUserId: string | null,
  ): Promise<{ userId: string; taskId: string; expiresAt: Date } | null> {
    const [row] = await this.#call('select * from app.claim_any_task($1, $2, $3, $4)', [
      afterUserId,
      claim.worker,
      claim.leaseSeconds,
      claim.credentialHash,
    ])
    return row?.taskId ? (row as { userId: string; taskId: string; expiresAt: Date }) : null
  }

  /** Ends leases that have lapsed and tasks past their maximum duration; returns the tasks concerned. */
  async sweepLeases(): Promise<{ userId: string; taskId: string }[]> {
    return (await this.#call('select * from app.sweep_leases()', [])) as { userId: string; taskId: string }[]
  }

  /** Tells every process that listens; in a commit of its own that waits for no disk, since nothing is written. */
  async notify(payloads: readonly string[]): Promise<void> {
    await this.#call(
      `select pg_notify('rowhouse', payload) from unnest($1::text[]) payload
       where set_config('synchronous_commit', 'off', true) is not null`,
      [payloads],
    )
  }

  /** Asks for all streams at once whether their callers may still read, and how far their tasks are. Numbered from 1. */
  async checkStreams(streams: readonly WatchedStream[]): Promise<WatchedStreamState[]> {
    const rows = await this.#call('select * from app.check_streams($1, $2, $3)', [
      streams.map(stream => stream.credential),
      streams.map(stream => stream.organizationId),
      streams.map(stream => stream.taskId),
    ])
    return rows as unknown as WatchedStreamState[]
  }

  /** Removes counters whose window is long over. */
  async sweepRateLimits(): Promise<void> {
    await this.#call('select app.sweep_rate_limits()', [])
  }

  async #call(sql: string, values: readonly unknown[]): Promise<Record<string, unknown>[]> {
    const connection = await this.#pool.checkOut()
    try {
      const enter = { sql: ENTER, values: [String(DEFAULT_TIMEOUT_MS)] }
      const [, result] = await connection.exchange([enter, { sql, values }], {
        timeoutMs: DEFAULT_TIMEOUT_MS,
      })
      return result?.rows ?? []
    } finally {
      connection.release()
    }
  }
}
