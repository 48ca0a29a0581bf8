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
import {
  type ClaimedEvent,
  claimWebhookEvents,
  failWebhookEvent,
  processWebhookEvent,
  type ReceivedWebhook,
  receiveWebhook,
} from './system-webhooks.ts'

/** One caller's view of one task, or of approvals where there is none, as a stream reads it. */
export interface WatchedStream {
  readonly credential: string
  readonly organizationId: string | null
  readonly taskId: string | null
}

/** How far a task is. Of approvals, the last event's number and nothing else. */
export interface StreamState {
  readonly status: string
  readonly lastLogSeq: number
  readonly lastEventSeq: number
}

/**
 * Why the caller of the n-th stream is refused, or the task's state; both null where there is no such task
 * for them.
 */
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
 * Work that no user's request carries. The login behind it reads no table; it may execute a few functions,
 * which the methods here name.
 */
export class SystemDatabase {
  readonly #pool: LoginPool
  readonly #bounds: WaitBounds
  readonly #call: SystemCall = async (sql, values) => {
    // Without a request's budget, a call has one of its own.
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

  /** The same, within the bounds of a request. */
  within(bounds: WaitBounds): SystemDatabase {
    return new SystemDatabase(this.#pool, bounds)
  }

  /**
   * Lets a key through once its wait is over, and doubles the next one; returns 0 then, else the seconds that
   * are left.
   */
  async takeTurn(key: string, firstSeconds: number, longestSeconds: number): Promise<number> {
    const [row] = await this.#call('select app.take_turn($1, $2, $3) as seconds', [
      key,
      String(firstSeconds),
      String(longestSeconds),
    ])
    return Number(row?.seconds)
  }

  /**
   * Counts one call under `key` and tells whether it is within `limit` for the window; the same over all
   * processes.
   */
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
   * Claims a task for a worker of the operator's, over all users in turn: `afterUserId` is the one who was
   * served last. Null where no task waits.
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

  /**
   * Ends a batch of leases that have lapsed and of tasks past their maximum duration; returns the tasks
   * concerned.
   */
  async sweepLeases(): Promise<{ userId: string; taskId: string }[]> {
    return (await this.#call('select * from app.sweep_leases()', [])) as { userId: string; taskId: string }[]
  }

  /** Expires one approval whose time is over, and denies its tool call; null where there is none. */
  async expireApproval(): Promise<{ userId: string; organizationId: string | null } | null> {
    const [row] = await this.#call('select * from app.expire_approval()', [])
    return row?.userId ? (row as { userId: string; organizationId: string | null }) : null
  }

  /**
   * Keeps the check value of a key that has none, unless another key in use is not among `keyIds`; returns
   * all of them.
   */
  async keepKeyringCheck(
    value: string,
    keyIds: readonly string[],
  ): Promise<{ keyId: string; value: string }[]> {
    const sql = 'select key_id, value from app.keep_keyring_check($1, $2)'
    return (await this.#call(sql, [value, keyIds])) as { keyId: string; value: string }[]
  }

  /**
   * Tells every process that listens; in a commit of its own that waits for no disk, since nothing is
   * written.
   */
  async notify(payloads: readonly string[]): Promise<void> {
    await this.#call(
      `select pg_notify('rowhouse', payload) from unnest($1::text[]) payload
       where set_config('synchronous_commit', 'off', true) is not null`,
      [payloads],
    )
  }

  /**
   * Asks for all streams at once whether their callers may still read, and how far their tasks are. Numbered
   * from 1.
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
   * Keeps a connection for the user whose session the credential is, and returns false where it was to
   * replace one that is gone. Throws {@link SignInError}, and a unique violation where the user has such a
   * connection.
   */
  storeConnection(credential: string, connection: ConsentedConnection): Promise<boolean> {
    return storeConnection(this.#call, credential, connection)
  }

  /**
   * Stores the sealed tokens that a refresh led to, for whoever holds its claim, and ends the claim. Returns
   * their version; null where the claim or the connection is gone.
   */
  storeRefreshedTokens(claim: RefreshClaim, tokens: RefreshedTokens): Promise<number | null> {
    return storeRefreshedTokens(this.#call, claim, tokens)
  }

  /** Whether anybody is connected to a provider's account. */
  isAccountConnected(account: { provider: string; externalId: string }): Promise<boolean> {
    return isAccountConnected(this.#call, account)
  }

  /**
   * Announces for half a minute how many places of each name a process holds. When it takes more, tells how
   * many the other processes hold of the same, by name.
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

  /** Removes what processes held that ended without a word; returns how many rows that were. */
  sweepHeldPlaces(): Promise<number> {
    return this.#count('select app.sweep_held_places() as count')
  }

  /** Removes a batch of states of connect flows that nobody came back with; returns how many. */
  sweepOAuthStates(): Promise<number> {
    return this.#count('select app.sweep_oauth_states() as count')
  }

  /**
   * Stores a delivery with an event for each active connection that it names, in one statement; a copy of one
   * that is stored does nothing.
   */
  receiveWebhook(webhook: ReceivedWebhook): Promise<{ isNew: boolean; eventCount: number }> {
    return receiveWebhook(this.#call, webhook)
  }

  /** Claims webhook events that are due, of all users, oldest first. */
  claimWebhookEvents(limit: number, claimSeconds: number, maxAttempts: number): Promise<ClaimedEvent[]> {
    return claimWebhookEvents(this.#call, { limit, claimSeconds, maxAttempts })
  }

  /**
   * Makes an event's effect and calls it processed, both or neither. False where it is at another attempt by
   * now.
   */
  processWebhookEvent(event: ClaimedEvent): Promise<boolean> {
    return processWebhookEvent(this.#call, event)
  }

  /** Notes why an attempt failed. The next is due after that time; without one, the event is dead. */
  failWebhookEvent(event: ClaimedEvent, error: string, retryAfterMs: number | null): Promise<void> {
    return failWebhookEvent(this.#call, event, { error, retryAfterMs })
  }

  /** Removes deliveries whose time is over, with their events, a thousand at most; returns how many. */
  sweepWebhooks(): Promise<number> {
    return this.#count('select app.sweep_webhooks() as count')
  }

  /**
   * Removes sessions, trusted devices and verifications that expired, a thousand of each at most; returns how
   * many.
   */
  sweepSignIns(): Promise<number> {
    return this.#count('select app.sweep_sign_ins() as count')
  }

  /**
   * Makes one delta of the many of messages that were finished long ago, of fifty at most; returns of how
   * many.
   */
  foldMessageDeltas(): Promise<number> {
    return this.#count('select app.fold_message_deltas() as count')
  }

  /** Whether a media item still waits for the file whose upload address was given out. */
  async isUploadOpen(userId: string, mediaId: string): Promise<boolean> {
    const [row] = await this.#call('select app.is_upload_open($1, $2) as is_open', [userId, mediaId])
    return row?.isOpen === true
  }

  /** Fails uploads that nobody completed, and media items that nobody processes any more. */
  async sweepMedia(): Promise<void> {
    await this.#call('select app.sweep_media()', [])
  }

  /** Claims files that nothing owns any more, by their keys. */
  async claimFileRemovals(limit: number, claimSeconds: number): Promise<string[]> {
    const rows = await this.#call('select * from app.claim_file_removals($1, $2)', [limit, claimSeconds])
    return rows.map(row => String(row.storageKey))
  }

  /** Notes that these files were removed. */
  async finishFileRemovals(keys: readonly string[]): Promise<void> {
    await this.#call('select app.finish_file_removals($1)', [keys])
  }

  /** The removal whose next batch has waited longest. */
  nextErasure(): Promise<NextErasure> {
    return nextErasure(this.#call)
  }

  /**
   * Deletes up to `limit` rows that depend on a removed row and, once none is left, the row itself. Null
   * where the job is finished, or another process is at it.
   */
  eraseBatch(id: string, limit: number): Promise<ErasedBatch | null> {
    return eraseBatch(this.#call, id, limit)
  }

  /** Keeps why a batch failed, and puts the next one off. */
  noteErasureFailure(failure: { id: string; reason: string; retryAfterMs: number }): Promise<void> {
    return noteErasureFailure(this.#call, failure)
  }

  /** Deletes a batch of jobs that were finished more than thirty days ago; returns how many. */
  sweepErasures(): Promise<number> {
    return this.#count('select app.sweep_erasures() as count')
  }

  /** Removes a batch of counters whose window is long over; returns how many. */
  sweepRateLimits(): Promise<number> {
    return this.#count('select app.sweep_rate_limits() as count')
  }

  async #count(sql: string): Promise<number> {
    const [row] = await this.#call(sql, [])
    return Number(row?.count)
  }
}
