import type { LoginPool } from './login-pool.ts'
import { DEFAULT_TIMEOUT_MS } from './scope.ts'

const ENTER = `select
  pg_catalog.set_config('statement_timeout', $1, true),
  pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)`

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
