/** How long one request waits for the database in all; then it is answered SERVICE_UNAVAILABLE. */
export const REQUEST_DEADLINE_MS = 12_000

/**
 * The time that one request may spend waiting for the database, for connections and for statements, however
 * many it makes. Statements that run at the same time count once, and time spent elsewhere (a provider, a
 * file) does not count.
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

  /** Begins to count. Every call is followed by one of {@link end}. */
  begin(): void {
    if (this.#waits++ === 0) this.#since = performance.now()
  }

  end(): void {
    if (--this.#waits === 0) this.#spentMs += performance.now() - this.#since
  }

  /** Counts from zero again, for a download that goes on for as long as each part comes in time. */
  renew(): void {
    this.#spentMs = 0
    this.#since = performance.now()
  }
}

/** How long a caller waits for the database, and the signal that the caller has left. */
export interface WaitBounds {
  readonly budget?: TimeBudget | undefined
  readonly signal?: AbortSignal | undefined
}
