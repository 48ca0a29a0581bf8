import { StatementAbortedError } from '#server/db/errors.ts'
import { AppError } from '#server/rpc/errors.ts'

export interface QueueLimits {
  /** The maximum number of running jobs. One user may run one fewer, so that others find a free place. */
  readonly atOnce: number
  readonly maxWaiting: number
  readonly maxWaitMs: number
}

export interface QueuedWork<T> {
  readonly userId: string
  readonly signal?: AbortSignal | undefined
  readonly work: () => Promise<T>
}

interface Waiting {
  readonly userId: string
  readonly start: () => void
  readonly refuse: (error: unknown) => void
}

const RETRY_MS = 5_000

/**
 * Runs jobs in turn, user by user: a user with many jobs delays only their own. When the queue is full, it
 * rejects the newest job of the user with the most waiting jobs, to make room for a user with fewer.
 */
export function createFairQueue({ atOnce, maxWaiting, maxWaitMs }: QueueLimits) {
  const maxOfUser = Math.max(1, atOnce - 1)
  const running = new Map<string, number>()
  /** Waiting jobs by user, in the order of the users' turns. */
  const waiting = new Map<string, Waiting[]>()
  let runningCount = 0
  let waitingCount = 0

  const isFree = (userId: string) => runningCount < atOnce && (running.get(userId) ?? 0) < maxOfUser

  function add(entry: Waiting): void {
    waiting.set(entry.userId, [...(waiting.get(entry.userId) ?? []), entry])
    waitingCount++
  }

  function drop(entry: Waiting): void {
    const entries = waiting.get(entry.userId) ?? []
    if (!entries.includes(entry)) return
    if (entries.length === 1) waiting.delete(entry.userId)
    else
      waiting.set(
        entry.userId,
        entries.filter(one => one !== entry),
      )
    waitingCount--
  }

  function count(userId: string, change: 1 | -1): void {
    const left = (running.get(userId) ?? 0) + change
    if (left === 0) running.delete(userId)
    else running.set(userId, left)
    runningCount += change
  }

  function makeRoom(userId: string): void {
    const most = [...waiting.values()].reduce((a, b) => (b.length > a.length ? b : a), [])
    const newest = most.at(-1)
    if (!newest || most.length <= (waiting.get(userId)?.length ?? 0) + 1) throw full()
    newest.refuse(full())
  }

  function startNext(): void {
    for (const [userId, entries] of waiting) {
      const [entry] = entries
      if (!entry || !isFree(userId)) continue
      drop(entry)
      // Moves the user to the end of the order.
      const rest = waiting.get(userId)
      if (rest) {
        waiting.delete(userId)
        waiting.set(userId, rest)
      }
      count(userId, 1)
      entry.start()
      return
    }
  }

  async function turn(userId: string, signal: AbortSignal | undefined): Promise<void> {
    if (isFree(userId)) return count(userId, 1)
    if (waitingCount >= maxWaiting) makeRoom(userId)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const entry: Waiting = {
      userId,
      start: resolve,
      refuse: error => {
        drop(entry)
        reject(error)
      },
    }
    add(entry)
    const onAbort = () => entry.refuse(new StatementAbortedError())
    const timer = setTimeout(() => entry.refuse(full()), maxWaitMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  return async function run<T>({ userId, signal, work }: QueuedWork<T>): Promise<T> {
    if (signal?.aborted) throw new StatementAbortedError()
    await turn(userId, signal)
    try {
      return await work()
    } finally {
      count(userId, -1)
      startNext()
    }
  }
}

function full(): AppError {
  const retryAt = new Date(Date.now() + RETRY_MS)
  return new AppError('overloaded', 'too many files are being inspected: try again later', { retryAt })
}
