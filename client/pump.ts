/** Sends what has gathered, one call at a time. */
export interface Pump {
  /** Says that there is something to send. */
  poke(): void
  /** Resolves when there is room for more. Throws what sending failed with. */
  room(): Promise<void>
  /** Sends what is left without waiting for more, and throws what sending failed with. */
  settle(): Promise<void>
}

export interface PumpOptions {
  /** How long small pieces are given to gather. */
  readonly delayMs: number
  /** Sends a part; called until nothing is left. */
  readonly send: () => Promise<void>
  /** How much is left, in any unit. */
  readonly backlog: () => number
  /** The backlog that `room` lets pass. */
  readonly capacity: number
}

/** A failure of `send` is final: later pieces are not sent, and whoever waits is told. */
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

/** The same promise, which nobody has to await: what it rejects with is told elsewhere, too. */
export function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/**
 * Text as the server takes it: well-formed, and without NUL. As long as before, so that offsets stay true.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}

/** Where to cut `text` so that at most `max` UTF-16 units come before and no surrogate pair is split. */
export function cutAt(text: string, max: number): number {
  if (text.length <= max) return text.length
  const isPair = isHighSurrogate(text.charCodeAt(max - 1))
  return isPair ? max - 1 : max
}

export function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
