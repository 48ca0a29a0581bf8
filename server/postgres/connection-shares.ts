import type { WaitBounds } from '#server/db/time-budget.ts'

/** No connection was available for the caller. */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError'
  /** True if the caller's own statements hold or wait for the connections. */
  readonly isOwnFault: boolean

  constructor(isOwnFault: boolean) {
    super(isOwnFault ? 'too many statements of this caller are waiting' : 'no connection became free in time')
    this.isOwnFault = isOwnFault
  }
}

/** A request for a connection. */
export interface Claimant extends WaitBounds {
  /** The caller; undefined for statements of no particular caller, which have no share. */
  readonly caller?: string
  /** False for a statement that writes: only these wait for row locks. */
  readonly isReadOnly?: boolean
}

interface Waiter extends Claimant {
  readonly admit: () => void
}

/** A process accepts 256 calls at once, some of which must be other callers'. */
const MAX_WAITING_PER_CALLER = 200

/**
 * Shares the connections of a pool, so that callers who wait for a lock leave some to others. A caller holds
 * at most half of the connections that others leave, and at least two, since a transaction may need a second.
 * Statements that write leave a fifth of the pool, and at least one connection, to read-only ones. Otherwise
 * first come, first served.
 */
export class ConnectionShares {
  readonly #size: number
  readonly #writers: number
  readonly #timeoutMs: number
  readonly #held = new Map<string, number>()
  readonly #waitingBy = new Map<string, number>()
  readonly #queue = new Set<Waiter>()
  #total = 0
  #writing = 0

  constructor(size: number, timeoutMs: number) {
    this.#size = size
    this.#writers = Math.max(1, size - Math.max(1, Math.floor(size / 5)))
    this.#timeoutMs = timeoutMs
  }

  get waiting(): number {
    return this.#queue.size
  }

  /**
   * Resolves with a function that returns the connection. Throws {@link NoConnectionError}, or the signal's
   * reason.
   */
  async take(claimant: Claimant = {}): Promise<() => void> {
    // This overtakes no waiting caller: any caller that could continue did so when the last connection was
    // returned.
    if (!this.#mayHold(claimant)) await this.#wait(claimant)
    else this.#hold(claimant)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#release(claimant)
    }
  }

  #mayHold({ caller, isReadOnly }: Claimant): boolean {
    if (this.#total >= this.#size || (isReadOnly === false && this.#writing >= this.#writers)) return false
    if (caller === undefined) return true
    const own = this.#held.get(caller) ?? 0
    return own < Math.max(2, Math.floor((this.#size - (this.#total - own)) / 2))
  }

  #hold({ caller, isReadOnly }: Claimant): void {
    this.#total++
    if (isReadOnly === false) this.#writing++
    if (caller !== undefined) count(this.#held, caller, 1)
  }

  #release({ caller, isReadOnly }: Claimant): void {
    this.#total--
    if (isReadOnly === false) this.#writing--
    if (caller !== undefined) count(this.#held, caller, -1)
    for (const waiter of this.#queue) {
      if (this.#total >= this.#size) return
      if (this.#mayHold(waiter)) waiter.admit()
    }
  }

  async #wait(claimant: Claimant): Promise<void> {
    const { caller, signal, budget } = claimant
    const timeoutMs = Math.min(this.#timeoutMs, budget?.leftMs ?? this.#timeoutMs)
    if (caller !== undefined && (this.#waitingBy.get(caller) ?? 0) >= MAX_WAITING_PER_CALLER)
      throw new NoConnectionError(true)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = {
      ...claimant,
      admit: () => {
        // Before the promise resolves: the next caller in the queue must see the connection as held.
        this.#hold(claimant)
        this.#queue.delete(waiter)
        resolve()
      },
    }
    const leave = (reason: unknown) => {
      this.#queue.delete(waiter)
      reject(reason)
    }
    const onAbort = () => leave(signal?.reason)
    const timer = setTimeout(() => leave(new NoConnectionError(this.#total < this.#size)), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#queue.add(waiter)
    if (caller !== undefined) count(this.#waitingBy, caller, 1)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (caller !== undefined) count(this.#waitingBy, caller, -1)
    }
  }
}

function count(counts: Map<string, number>, key: string, by: number): void {
  const next = (counts.get(key) ?? 0) + by
  if (next === 0) counts.delete(key)
  else counts.set(key, next)
}
