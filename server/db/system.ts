import pg from 'pg'
import { isSignInRefusal, SignInError } from './errors.ts'
import type { LoginPool } from './login-pool.ts'
import { DEFAULT_TIMEOUT_MS } from './scope.ts'

const ENTER = `select
  pg_catalog.set_config('statement_timeout', $1, true),
  pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)`

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

/** A verified webhook, as it is stored. */
export interface ReceivedWebhook {
  readonly provider: string
  readonly deliveryId: string
  readonly eventType: string
  readonly externalIds: readonly string[]
  readonly effect: string | null
  readonly headers: object
  readonly payload: object
}

/** What a user's consent at a provider led to, sealed for the row of this id. */
export interface ConsentedConnection {
  readonly id: string
  readonly provider: string
  /** The account that the row was a connection to so far; null for a new row. */
  readonly before: string | null
  readonly externalId: string
  readonly name: string
  readonly icon: string | null
  readonly scopes: readonly string[]
  readonly botId: string | null
  readonly settings: object
  readonly accessToken: string | null
  readonly refreshToken: string | null
  readonly expiresAt: Date | null
}

/** A webhook event that is this process's to work on, until its claim ends. */
export interface ClaimedEvent {
  readonly userId: string
  readonly id: string
  readonly attempt: number
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

  /** Expires one approval whose time is over, and denies its tool call; null where there is none. */
  async expireApproval(): Promise<{ userId: string; organizationId: string | null } | null> {
    const [row] = await this.#call('select * from app.expire_approval()', [])
    return row?.userId ? (row as { userId: string; organizationId: string | null }) : null
  }

  /** Keeps the check value of a key that has none, unless another key in use is not among `keyIds`; returns all of them. */
  async keepKeyringCheck(
    value: string,
    keyIds: readonly string[],
  ): Promise<{ keyId: string; value: string }[]> {
    const sql = 'select key_id, value from app.keep_keyring_check($1, $2)'
    return (await this.#call(sql, [value, keyIds])) as { keyId: string; value: string }[]
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

  /**
   * Keeps a connection for the user whose session the credential is, and returns false where it was to replace one that is gone.
   * Throws {@link SignInError}, and a unique violation where the user has such a connection.
   */
  async storeConnection(credential: string, connection: ConsentedConnection): Promise<boolean> {
    const { id, provider, before, externalId, name, icon, scopes, botId, settings } = connection
    const { accessToken, refreshToken, expiresAt } = connection
    const call = this.#call(
      'select app.store_connection($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as is_stored',
      [
        credential,
        id,
        provider,
        before,
        externalId,
        name,
        icon,
        scopes,
        botId,
        JSON.stringify(settings),
        accessToken,
        refreshToken,
        expiresAt,
      ],
    )
    const [row] = await call.catch((error: unknown) => {
      if (!(error instanceof pg.DatabaseError && isSignInRefusal(error.message))) throw error
      throw new SignInError(error.message, { cause: error })
    })
    return row?.isStored === true
  }

  /**
   * Stores the sealed tokens that a refresh led to, for whoever holds its claim, and ends the claim. Returns their version; null
   * where the claim or the connection is gone.
   */
  async storeRefreshedTokens(
    { userId, id, claim }: { userId: string; id: string; claim: string },
    tokens: { accessToken: string | null; refreshToken: string | null; expiresAt: Date | null },
  ): Promise<number | null> {
    const { accessToken, refreshToken, expiresAt } = tokens
    const [row] = await this.#call(
      'select app.store_refreshed_tokens($1, $2, $3, $4, $5, $6) as token_version',
      [userId, id, claim, accessToken, refreshToken, expiresAt],
    )
    return typeof row?.tokenVersion === 'number' ? row.tokenVersion : null
  }

  /** Whether anybody is connected to a provider's account. */
  async isAccountConnected(account: { provider: string; externalId: string }): Promise<boolean> {
    const [row] = await this.#call('select app.is_account_connected($1, $2) as is_connected', [
      account.provider,
      account.externalId,
    ])
    return row?.isConnected === true
  }

  /** Removes states of connect flows that nobody came back with. */
  async sweepOAuthStates(): Promise<void> {
    await this.#call('select app.sweep_oauth_states()', [])
  }

  /**
   * Stores a delivery with an event for each active connection that it names, in one statement; a copy of one that is stored
   * does nothing.
   */
  async receiveWebhook(webhook: ReceivedWebhook): Promise<{ isNew: boolean; eventCount: number }> {
    const [row] = await this.#call('select * from app.receive_webhook($1, $2, $3, $4, $5, $6, $7)', [
      webhook.provider,
      webhook.deliveryId,
      webhook.eventType,
      webhook.externalIds,
      webhook.effect,
      JSON.stringify(webhook.headers),
      JSON.stringify(webhook.payload),
    ])
    return { isNew: row?.isNew === true, eventCount: Number(row?.eventCount) }
  }

  /** Claims webhook events that are due, of all users, oldest first. */
  async claimWebhookEvents(
    limit: number,
    claimSeconds: number,
    maxAttempts: number,
  ): Promise<ClaimedEvent[]> {
    const rows = await this.#call('select * from app.claim_webhook_events($1, $2, $3)', [
      limit,
      claimSeconds,
      maxAttempts,
    ])
    return rows as unknown as ClaimedEvent[]
  }

  /** Makes an event's effect and calls it processed, both or neither. False where it is at another attempt by now. */
  async processWebhookEvent({ userId, id, attempt }: ClaimedEvent): Promise<boolean> {
    const [row] = await this.#call('select app.process_webhook_event($1, $2, $3) as done', [
      userId,
      id,
      attempt,
    ])
    return row?.done === true
  }

  /** Notes why an attempt failed. The next is due after that time; without one, the event is dead. */
  async failWebhookEvent(
    { userId, id, attempt }: ClaimedEvent,
    error: string,
    retryAfterMs: number | null,
  ): Promise<void> {
    await this.#call('select app.fail_webhook_event($1, $2, $3, $4, $5)', [
      userId,
      id,
      attempt,
      error,
      retryAfterMs,
    ])
  }

  /** Removes deliveries whose time is over, with their events. */
  async sweepWebhooks(): Promise<void> {
    await this.#call('select app.sweep_webhooks()', [])
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
