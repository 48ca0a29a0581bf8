/** How long one request may wait for the database in total before it is answered SERVICE_UNAVAILABLE. */
export const REQUEST_DEADLINE_MS = 12_000

/**
 * The time that one request may wait for connections and statements of the database, however many. Concurrent
 * statements count once, and time spent elsewhere (a provider, a file) does not count.
 */
export class TimeBudget {
  readonly #totalMs: number
  #spentMs = 0
  #waits = 0
  #since = 0

  constructor(totalMs = REQUEST_DEADLINE_MS) {
    this.#totalMs = totalMs
  }

  get leftMs(): number {
    const waitedMs = this.#waits > 0 ? performance.now() - this.#since : 0
    return this.#totalMs - this.#spentMs - waitedMs
  }

  /** Starts counting. Each call needs a matching {@link end}. */
  begin(): void {
    if (this.#waits++ === 0) this.#since = performance.now()
  }

  end(): void {
    if (--this.#waits === 0) this.#spentMs += performance.now() - this.#since
  }

  /** Restarts at zero, for a download whose parts each arrive in time. */
  renew(): void {
    this.#spentMs = 0
    this.#since = performance.now()
  }
}

/** How long a caller waits for the database, and the signal that the caller has aborted. */
export interface WaitBounds {
  readonly budget?: TimeBudget | undefined
  readonly signal?: AbortSignal | undefined
}
