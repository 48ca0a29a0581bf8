import { setTimeout as sleep } from 'node:timers/promises'
import { recurringFailure, toError } from '#server/app/recurring-failure.ts'
import type { Services } from '#server/app/services.ts'
import type { ErasedBatch } from './system-erasures.ts'

const IDLE_MS = 5_000
/**
 * A batch takes as many rows as this long allows, so that it holds no lock for longer and stays far from its
 * deadline.
 */
const TARGET_MS = 100
const FIRST_ROWS = 500
const MAX_ROWS = 2_000
const MIN_PAUSE_MS = 50
const RETRY_MS = 15_000
const PROGRESS_MS = 30_000
/** What a removal deletes before it answers. */
const ROWS_AT_ONCE = 1_000
const JOBS_AT_ONCE = 10

type Erasing = Pick<Services, 'log'> & { readonly pools: { readonly system: ErasureStore } }
type ErasureStore = Pick<Services['pools']['system'], 'nextErasure' | 'eraseBatch' | 'noteErasureFailure'>

export interface ErasureCounts {
  /** Removals whose rows are not all deleted, of any process; as of the last look. */
  readonly open: number
  /** Rows that this process has deleted, removals it has finished, and batches that failed in it. */
  readonly rows: number
  readonly finished: number
  readonly failures: number
}

export interface Eraser {
  /** Begins to look for what is due, and goes on until it is stopped. */
  start(): void
  counts(): ErasureCounts
  /** Waits for the batch that is being deleted. Safe to call twice. */
  stop(): Promise<void>
}

/**
 * Deletes the rows of what was removed, a small batch at a time, with a pause after each that is as long as
 * the batch took. Any process may; a batch that fails is tried again later, and one whose process is killed
 * is the next process's.
 */
export function createEraser({ pools: { system }, log }: Erasing): Eraser {
  const counts = { open: 0, rows: 0, finished: 0, failures: 0 }
  const failure = recurringFailure({ log, message: 'deleting the rows of what was removed failed' })
  const stopping = new AbortController()
  const toldAt = new Map<string, number>()
  let limit = FIRST_ROWS
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await work().catch((error: unknown) => {
        failure.failed(toError(error))
        return IDLE_MS
      })
      await sleep(pauseMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {})
    }
  }

  /** Deletes one batch, of whatever is due, and returns how long to wait for the next. */
  async function work(): Promise<number> {
    const { id, openCount } = await system.nextErasure()
    counts.open = openCount
    failure.worked()
    // Processes that started together look apart.
    if (id === null) return IDLE_MS * (0.75 + Math.random() / 2)
    const startedAt = performance.now()
    try {
      const batch = await system.eraseBatch(id, limit)
      const tookMs = performance.now() - startedAt
      if (batch) note(id, batch)
      if (batch && batch.erased === limit) limit = nextLimit(limit, tookMs)
      return Math.max(MIN_PAUSE_MS, tookMs)
    } catch (error) {
      counts.failures++
      limit = Math.max(1, Math.floor(limit / 4))
      const { message } = toError(error)
      log.warn({ err: error, erasure: id }, 'a batch of removed rows could not be deleted')
      await system.noteErasureFailure({ id, reason: message, retryAfterMs: RETRY_MS })
      return MIN_PAUSE_MS
    }
  }

  function note(
    id: string,
    { parent, key, step, erased, rowCount, isFinished, createdAt }: ErasedBatch,
  ): void {
    counts.rows += erased
    const now = Date.now()
    const told = toldAt.get(id)
    const fields = { erasure: id, parent, key, step, rows: rowCount }
    if (isFinished) {
      counts.finished++
      toldAt.delete(id)
      log.info(
        { ...fields, seconds: Math.round((now - createdAt.getTime()) / 1_000) },
        'erased what was removed',
      )
    } else if (told === undefined || now - told > PROGRESS_MS) {
      toldAt.set(id, now)
      log.info(fields, told === undefined ? 'erasing what was removed' : 'still erasing what was removed')
    }
  }

  return {
    start() {
      running ??= run()
    },
    counts: () => ({ ...counts }),
    async stop() {
      stopping.abort()
      await running
    },
  }
}

function nextLimit(limit: number, tookMs: number): number {
  const factor = Math.min(2, Math.max(0.25, TARGET_MS / tookMs))
  return Math.max(1, Math.min(MAX_ROWS, Math.round(limit * factor)))
}

/**
 * Deletes what is little, so that nothing is left of it when the removal answers. Never throws: the rest is
 * left to the eraser.
 */
export async function eraseAtOnce(
  { pools: { system }, log }: Erasing,
  jobs: readonly string[],
): Promise<void> {
  for (const id of jobs.slice(0, JOBS_AT_ONCE)) {
    try {
      await system.eraseBatch(id, ROWS_AT_ONCE)
    } catch (error) {
      log.warn({ err: error, erasure: id }, 'what was removed is deleted later')
    }
  }
}
