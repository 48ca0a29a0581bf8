/** Sends buffered pieces, one call at a time. */
export interface Pump {
  /** Starts sending if there is something to send. */
  poke(): void
  /** Resolves once the buffer has room. Throws the error of a failed send. */
  room(): Promise<void>
  /** Sends the remaining pieces at once, and throws the error of a failed send. */
  settle(): Promise<void>
}

export interface PumpOptions {
  /** How long to wait for more small pieces before sending. */
  readonly delayMs: number
  /** Sends a part; called until the backlog is empty. */
  readonly send: () => Promise<void>
  /** The size of the unsent pieces, in any unit. */
  readonly backlog: () => number
  /** The backlog up to which `room` resolves at once. */
  readonly capacity: number
}

/** A failure of `send` is final: later pieces are not sent, and all waiting callers receive the error. */
export function createPump({ delayMs, send, backlog, capacity }: PumpOptions): Pump {
  let running: Promise<void> | undefined
  let failure: { readonly error: unknown } | undefined
  let isHasty = false
  let hasten = () => {}
  let waiting: (() => void)[] = []

  async function run(): Promise<void> {
    try {
      while (backlog() > 0) {
        if (!isHasty) await gather()
        await send()
        wake()
      }
    } catch (error) {
      failure = { error }
    } finally {
      running = undefined
      wake()
    }
  }

  function gather(): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, delayMs)
      hasten = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  function wake(): void {
    const woken = waiting
    waiting = []
    for (const resolve of woken) resolve()
  }

  function throwFailure(): void {
    if (failure) throw failure.error
  }

  async function room(): Promise<void> {
    throwFailure()
    while (backlog() > capacity) {
      await new Promise<void>(resolve => waiting.push(resolve))
      throwFailure()
    }
  }

  return {
    poke() {
      if (!failure && backlog() > 0) running ??= run()
    },
    room: () => quietly(room()),
    async settle() {
      isHasty = true
      try {
        hasten()
        while (running) await running
      } finally {
        isHasty = false
      }
      throwFailure()
    },
  }
}

/** Returns the same promise without an unhandled rejection, since its error is also reported elsewhere. */
export function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/**
 * Makes text acceptable to the server: well-formed and without NUL. Keeps its length, so that offsets stay
 * valid.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/**
 * The index at which to cut `text` so that at most `max` UTF-16 units come before it and no surrogate pair is
 * split.
 */
export function cutAt(text: string, max: number): number {
  if (text.length <= max) return text.length
  const isPair = isHighSurrogate(text.charCodeAt(max - 1))
  return isPair ? max - 1 : max
}

export function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
