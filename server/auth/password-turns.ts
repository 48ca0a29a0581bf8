import { StatementAbortedError } from '#server/db/errors.ts'

/** The request would wait more than a few seconds for a password's hash, and should retry later. */
export class PasswordsBusyError extends Error {
  readonly retryAt: Date

  constructor(retryAt: Date) {
    super('too many sign-ins at once; try again in a moment')
    this.name = 'PasswordsBusyError'
    this.retryAt = retryAt
  }

  get retryAfterSeconds(): number {
    return Math.max(1, Math.ceil((this.retryAt.getTime() - Date.now()) / 1_000))
  }
}

export interface TurnWait {
  /** Fires when the caller aborts. */
  readonly signal?: AbortSignal | undefined
  /** Runs the wait so that it takes no capacity from other calls. */
  readonly aside?: (<T>(wait: () => Promise<T>) => Promise<T>) | undefined
}

export interface TurnLimits {
  /** The number of concurrent requests. */
  readonly atOnce: number
  /**
   * A request that would wait longer is refused at once. One that unexpectedly waits twice as long is refused
   * too.
   */
  readonly maxWaitMs: number
}

/** The assumed duration of a turn until one has been measured. */
const FIRST_TURN_MS = 200
/** The weight of the newest turn in the mean. */
const WEIGHT = 0.2
/** The longest time to retry, however many are refused. */
const MAX_RETRY_MS = 60_000

interface Waiting {
  readonly begin: () => void
}

/** A queue limited to the work of a few seconds, estimated from the duration of the last turns. */
export class PasswordTurns {
  readonly #limits: TurnLimits
  readonly #waiting = new Set<Waiting>()
  #running = 0
  #meanMs = FIRST_TURN_MS
  #retryAtMs = 0

  constructor(limits: TurnLimits) {
    this.#limits = limits
  }

  /**
   * Runs `work` when its turn comes. Throws {@link PasswordsBusyError} at once if that would take too long,
   * and {@link StatementAbortedError} if the caller aborts before.
   */
  async take<T>({ signal, aside = wait => wait() }: TurnWait, work: () => Promise<T>): Promise<T> {
    await aside(async () => this.#begin(signal))
    const startedAt = performance.now()
    try {
      return await work()
    } finally {
      this.#meanMs += WEIGHT * (performance.now() - startedAt - this.#meanMs)
      this.#end()
    }
  }

  #begin(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (signal?.aborted) throw new StatementAbortedError()
    if (this.#running < this.#limits.atOnce) {
      this.#running++
      return
    }
    // Before the first turn of a burst has been measured, a few may wait in any case.
    const isLong = this.#waitMs(this.#waiting.size + 1) > this.#limits.maxWaitMs
    if (isLong && this.#waiting.size >= 2 * this.#limits.atOnce) throw new PasswordsBusyError(this.#retryAt())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const settle = () => {
      this.#waiting.delete(waiting)
      clearTimeout(timer)
      signal?.removeEventListener('abort', leave)
    }
    const leave = () => {
      settle()
      reject(new StatementAbortedError())
    }
    const giveUp = () => {
      settle()
      reject(new PasswordsBusyError(this.#retryAt()))
    }
    const waiting = {
      begin: () => {
        settle()
        resolve()
      },
    }
    const timer = setTimeout(giveUp, 2 * this.#limits.maxWaitMs)
    signal?.addEventListener('abort', leave, { once: true })
    this.#waiting.add(waiting)
    return promise
  }

  #end(): void {
    const [next] = this.#waiting
    if (next) next.begin()
    else this.#running--
  }

  #waitMs(requests: number): number {
    return (requests * this.#meanMs) / this.#limits.atOnce
  }

  /** Spreads the times, so that callers that were refused together do not retry together. */
  #retryAt(): Date {
    const now = Date.now()
    const earliest = now + this.#waitMs(this.#waiting.size)
    this.#retryAtMs = Math.max(this.#retryAtMs + this.#waitMs(1), earliest)
    if (this.#retryAtMs > now + MAX_RETRY_MS) this.#retryAtMs = earliest
    return new Date(this.#retryAtMs)
  }
}
