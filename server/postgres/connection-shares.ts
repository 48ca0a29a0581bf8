import type { WaitBounds } from '#server/db/time-budget.ts'

/** Why a caller was given no connection. */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError'
  /** Whether the caller's own statements are what is in the way. */
  readonly isOwnFault: boolean

  constructor(isOwnFault: boolean) {
    super(isOwnFault ? 'too many statements of this caller wait' : 'no connection became free in time')
    this.isOwnFault = isOwnFault
  }
}

/** Who wants a connection, and for what. */
export interface Claimant extends WaitBounds {
  /** Whose statements these are; left out for nobody's in particular, who has no share. */
  readonly caller?: string
  /** False for a statement that writes, which alone waits for another's row. */
  readonly isReadOnly?: boolean
}

interface Waiter extends Claimant {
  readonly admit: () => void
}

/** A process takes 256 calls at once, and some of them are to be other callers'. */
const MAX_WAITING_PER_CALLER = 200

/**
 * Shares the connections of a pool out, so that callers who wait for a lock leave some to the others. A
 * caller holds at most half of what the others leave, and two at least, since a transaction may need a
 * second; statements that write leave a fifth of the pool, and one connection at least, to those that only
 * read. Within that, first come, first served.
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
   * Resolves with what gives the connection back. Throws {@link NoConnectionError}, or the signal's reason.
   */
  async take(claimant: Claimant = {}): Promise<() => void> {
    // Nobody overtakes a caller who waits and could go on: whoever could, went on when the last connection
    // came back.
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
        // At once, and not when the promise is seen to: the next in the queue must find it held.
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
