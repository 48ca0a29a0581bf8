import { DEFAULT_TIMEOUT_MS } from '#server/db/scope.ts'
import { TimeBudget, type WaitBounds } from '#server/db/time-budget.ts'
import { type LoginPool, statementTimeoutMs } from '#server/postgres/login-pool.ts'
import { ENTER_SYSTEM } from '#server/postgres/session-settings.ts'
import type { SystemCall } from './system-call.ts'
import {
  type ConsentedConnection,
  isAccountConnected,
  type RefreshClaim,
  type RefreshedTokens,
  storeConnection,
  storeRefreshedTokens,
} from './system-connections.ts'
import {
  type ErasedBatch,
  eraseBatch,
  type NextErasure,
  nextErasure,
  noteErasureFailure,
} from './system-erasures.ts'
import type { WatchedStream, WatchedStreamState } from './system-streams.ts'
import {
  type ClaimedEvent,
  claimWebhookEvents,
  failWebhookEvent,
  processWebhookEvent,
  type ReceivedWebhook,
  receiveWebhook,
} from './system-webhooks.ts'

/** The functions that delete expired rows, a batch a call. */
const SWEEPS = {
  /** Places of processes that ended without returning them. */
  heldPlaces: 'app.sweep_held_places()',
  /** Abandoned states of connect flows. */
  oauthStates: 'app.sweep_oauth_states()',
  /** Deliveries with their events, at most a thousand. */
  webhooks: 'app.sweep_webhooks()',
  /** Sessions, trusted devices and verifications, at most a thousand each. */
  signIns: 'app.sweep_sign_ins()',
  /** Folds the deltas of at most fifty old, finished messages into one each. */
  messageDeltas: 'app.fold_message_deltas()',
  /** Jobs finished more than thirty days ago. */
  erasures: 'app.sweep_erasures()',
  /** Counters whose window ended long ago. */
  rateLimits: 'app.sweep_rate_limits()',
} as const

/**
 * Work without a user's request. Its login reads no table; it may execute only the functions that these
 * methods name.
 */
export class SystemDatabase {
  readonly #pool: LoginPool
  readonly #bounds: WaitBounds
  readonly #call: SystemCall = async (sql, values) => {
    // Without a request, a call has its own budget.
    const { budget = new TimeBudget(), signal } = this.#bounds
    const bounds = { budget, signal, timeoutMs: DEFAULT_TIMEOUT_MS }
    const connection = await this.#pool.checkOut(bounds)
    try {
      const enter = { sql: ENTER_SYSTEM, values: [String(statementTimeoutMs(bounds))] }
      const [, result] = await connection.pipeline([enter, { sql, values }], bounds)
      return result?.rows ?? []
    } finally {
      connection.release()
    }
  }

  constructor(pool: LoginPool, bounds: WaitBounds = {}) {
    this.#pool = pool
    this.#bounds = bounds
  }

  /** The same calls, within the bounds of a request. */
  within(bounds: WaitBounds): SystemDatabase {
    return new SystemDatabase(this.#pool, bounds)
  }

  /**
   * Admits a key once its wait is over, and doubles the next wait; returns 0 then, else the remaining
   * seconds.
   */
  async takeTurn(key: string, firstSeconds: number, longestSeconds: number): Promise<number> {
    const [row] = await this.#call('select app.take_turn($1, $2, $3) as seconds', [
      key,
      String(firstSeconds),
      String(longestSeconds),
    ])
    return Number(row?.seconds)
  }

  /** Counts one call under `key` over all processes; returns whether it is within `limit` for the window. */
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
   * Claims a task for an operator's worker, serving users in turn: `afterUserId` is the user served last.
   * Null if no task is pending.
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

  /** Ends a batch of expired leases and of tasks past their maximum duration; returns the tasks. */
  async sweepLeases(): Promise<{ userId: string; taskId: string }[]> {
    return (await this.#call('select * from app.sweep_leases()', [])) as { userId: string; taskId: string }[]
  }

  /** Expires one overdue approval and denies its tool call; null if there is none. */
  async expireApproval(): Promise<{ userId: string; organizationId: string | null } | null> {
    const [row] = await this.#call('select * from app.expire_approval()', [])
    return row?.userId ? (row as { userId: string; organizationId: string | null }) : null
  }

  /**
   * Stores the check value of a key that has none, unless another key in use is not among `keyIds`; returns
   * all check values.
   */
  async keepKeyringCheck(
    value: string,
    keyIds: readonly string[],
  ): Promise<{ keyId: string; value: string }[]> {
    const sql = 'select key_id, value from app.keep_keyring_check($1, $2)'
    return (await this.#call(sql, [value, keyIds])) as { keyId: string; value: string }[]
  }

  /**
   * Notifies all listening processes, in a separate transaction that writes nothing and so waits for no disk.
   */
  async notify(payloads: readonly string[]): Promise<void> {
    await this.#call(
      `select pg_notify('rowhouse', payload) from unnest($1::text[]) payload
       where set_config('synchronous_commit', 'off', true) is not null`,
      [payloads],
    )
  }

  /**
   * Checks for all streams at once whether their callers may still read, and the progress of their tasks.
   * Numbered from 1.
   */
  async checkStreams(streams: readonly WatchedStream[]): Promise<WatchedStreamState[]> {
    const rows = await this.#call('select * from app.check_streams($1, $2, $3)', [
      streams.map(stream => stream.credential),
      streams.map(stream => stream.organizationId),
      streams.map(stream => stream.taskId),
    ])
    return rows as unknown as WatchedStreamState[]
  }

  /**
   * Stores a connection for the user of the session `credential`; returns false if it should replace a
   * connection that no longer exists. Throws {@link SignInError}, and a unique violation if the user has the
   * same connection.
   */
  storeConnection(credential: string, connection: ConsentedConnection): Promise<boolean> {
    return storeConnection(this.#call, credential, connection)
  }

  /**
   * Stores the sealed tokens of a refresh for the holder of its claim, and ends the claim. Returns their
   * version; null if the claim or the connection is gone.
   */
  storeRefreshedTokens(claim: RefreshClaim, tokens: RefreshedTokens): Promise<number | null> {
    return storeRefreshedTokens(this.#call, claim, tokens)
  }

  /** True if any user has a connection to this provider's account. */
  isAccountConnected(account: { provider: string; externalId: string }): Promise<boolean> {
    return isAccountConnected(this.#call, account)
  }

  /**
   * Announces for half a minute how many places of each name a process holds. If it takes more, returns how
   * many the other processes hold, by name.
   */
  async holdPlaces(
    processId: string,
    names: readonly string[],
    { counts, isTaking }: { counts: readonly number[]; isTaking: boolean },
  ): Promise<(readonly [name: string, others: number])[]> {
    const sql = 'select holder, others from app.hold_places($1, $2, $3, $4)'
    const rows = await this.#call(sql, [processId, names, counts, isTaking])
    return rows.map(({ holder, others }) => [String(holder), Number(others)] as const)
  }

  /**
   * Stores a delivery with an event for each active connection that it names, in one statement; does nothing
   * for a copy of a stored one.
   */
  receiveWebhook(webhook: ReceivedWebhook): Promise<{ isNew: boolean; eventCount: number }> {
    return receiveWebhook(this.#call, webhook)
  }

  /** Claims due webhook events of all users, oldest first. */
  claimWebhookEvents(limit: number, claimSeconds: number, maxAttempts: number): Promise<ClaimedEvent[]> {
    return claimWebhookEvents(this.#call, { limit, claimSeconds, maxAttempts })
  }

  /**
   * Applies the effect and marks the event processed, atomically. Returns false if another attempt has taken
   * over.
   */
  processWebhookEvent(event: ClaimedEvent): Promise<boolean> {
    return processWebhookEvent(this.#call, event)
  }

  /** Records why an attempt failed. The event is due again after that time; without one, it is dead. */
  failWebhookEvent(event: ClaimedEvent, error: string, retryAfterMs: number | null): Promise<void> {
    return failWebhookEvent(this.#call, event, { error, retryAfterMs })
  }

  /** True if a media item still waits for the upload of its file. */
  async isUploadOpen(userId: string, mediaId: string): Promise<boolean> {
    const [row] = await this.#call('select app.is_upload_open($1, $2) as is_open', [userId, mediaId])
    return row?.isOpen === true
  }

  /** Fails abandoned uploads, and media items whose processing was abandoned. */
  async sweepMedia(): Promise<void> {
    await this.#call('select app.sweep_media()', [])
  }

  /** Claims the keys of orphaned files. */
  async claimFileRemovals(limit: number, claimSeconds: number): Promise<string[]> {
    const rows = await this.#call('select * from app.claim_file_removals($1, $2)', [limit, claimSeconds])
    return rows.map(row => String(row.storageKey))
  }

  /** Records that these files were removed. */
  async finishFileRemovals(keys: readonly string[]): Promise<void> {
    await this.#call('select app.finish_file_removals($1)', [keys])
  }

  /** The removal whose next batch has been due longest. */
  nextErasure(): Promise<NextErasure> {
    return nextErasure(this.#call)
  }

  /**
   * Deletes up to `limit` dependent rows of a removed row and, once none is left, the row itself. Null if the
   * job is finished or another process is working on it.
   */
  eraseBatch(id: string, limit: number): Promise<ErasedBatch | null> {
    return eraseBatch(this.#call, id, limit)
  }

  /** Records why a batch failed, and postpones the next one. */
  noteErasureFailure(failure: { id: string; reason: string; retryAfterMs: number }): Promise<void> {
    return noteErasureFailure(this.#call, failure)
  }

  /** Deletes a batch of expired rows; returns how many. */
  async sweep(kind: keyof typeof SWEEPS): Promise<number> {
    const [row] = await this.#call(`select ${SWEEPS[kind]} as count`, [])
    return Number(row?.count)
  }
}
