import { monitorEventLoopDelay } from 'node:perf_hooks'
import { AppError } from '#server/rpc/errors.ts'

export interface LoadLimits {
  /** Calls at once; a batch counts as many as it holds. */
  maxInFlight: number
  /** The event loop's mean delay over a sample. */
  maxEventLoopDelayMs: number
}

export const DEFAULT_LOAD_LIMITS: LoadLimits = { maxInFlight: 256, maxEventLoopDelayMs: 500 }

// Callers who come back the moment they are refused would keep the process busy with refusing them, while what was
// admitted waits. So refusals are given out at a bounded pace: 2,000 a second.
const REFUSALS_PER_TURN = 20
const REFUSAL_TURN_MS = 10

export const RETRY_AFTER_SECONDS = 1
const SAMPLE_MS = 500
const RESOLUTION_MS = 10

/** The capacity that one request holds. */
export interface Slot {
  /** Gives the capacity back; once, however often it is called. */
  release: () => void
  /** Runs work of one call that waits elsewhere, in a queue or on another process, and takes no capacity meanwhile. */
  aside: <T>(work: () => Promise<T>) => Promise<T>
}

/** What is being worked on, and whether more may be taken. */
export interface Load {
  /** Calls being worked on. */
  inFlight: () => number
  /** Takes the capacity of so many calls. Whoever takes it must release it when its work ends, however that ends. */
  take: (calls?: number) => Slot
  /** Refusing early and cheaply keeps the latency of what was admitted. */
  isOverloaded: () => boolean
  /** Resolves when it is a refused caller's turn to be told. */
  refusalTurn: () => Promise<void>
  stop: () => void
}

export function watchLoad(limits: LoadLimits = DEFAULT_LOAD_LIMITS): Load {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let isLate = false
  const timer = setInterval(() => {
    // The histogram counts the sampling interval itself.
    isLate = histogram.mean / 1e6 - RESOLUTION_MS > limits.maxEventLoopDelayMs
    histogram.reset()
  }, SAMPLE_MS)
  timer.unref()
  const refusals = paceRefusals()
  let inFlight = 0
  return {
    inFlight: () => inFlight,
    take(calls = 1) {
      let held = 0
      let isReleased = false
      const count = (change: number) => {
        held += change
        inFlight += change
      }
      count(calls)
      return {
        release() {
          if (isReleased) return
          isReleased = true
          count(-held)
        },
        async aside(work) {
          if (isReleased || held === 0) return work()
          count(-1)
          try {
            return await work()
          } finally {
            if (!isReleased) count(1)
          }
        },
      }
    },
    isOverloaded: () => inFlight >= limits.maxInFlight || (isLate && inFlight > 0),
    refusalTurn: refusals.turn,
    stop: () => {
      refusals.stop()
      clearInterval(timer)
      histogram.disable()
    },
  }
}

function paceRefusals() {
  let waiting: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined
  const release = () => {
    for (const tell of waiting.splice(0, REFUSALS_PER_TURN)) tell()
    if (waiting.length === 0) stop()
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
    for (const tell of waiting) tell()
    waiting = []
  }
  const turn = () =>
    new Promise<void>(resolve => {
      waiting.push(resolve)
      timer ??= setInterval(release, REFUSAL_TURN_MS)
    })
  return { turn, stop }
}

export function overloaded(): AppError {
  return new AppError('overloaded', 'the server has more to do than it can; try again in a moment', {
    retryAt: new Date(Date.now() + RETRY_AFTER_SECONDS * 1000),
  })
}
