import { toError } from '#server/app/recurring-failure.ts'
import { type Loop, repeatEvery } from '#server/app/repeat-every.ts'
import type { Services } from '#server/app/services.ts'
import type { ErasedBatch } from './system-erasures.ts'

const IDLE_MS = 5_000
/** The target duration of a batch, so that it holds locks only briefly and stays far from its deadline. */
const TARGET_MS = 100
const FIRST_ROWS = 500
const MAX_ROWS = 2_000
const MIN_PAUSE_MS = 50
const RETRY_MS = 15_000
const PROGRESS_MS = 30_000
/** The number of rows that a removal deletes before it answers. */
const ROWS_AT_ONCE = 1_000
const JOBS_AT_ONCE = 10

type Erasing = Pick<Services, 'log'> & { readonly pools: { readonly system: ErasureStore } }
type ErasureStore = Pick<Services['pools']['system'], 'nextErasure' | 'eraseBatch' | 'noteErasureFailure'>

export interface ErasureCounts {
  /** Unfinished removals of all processes, as last read. */
  readonly open: number
  /** Rows that this process deleted, removals that it finished, and its failed batches. */
  readonly rows: number
  readonly finished: number
  readonly failures: number
}

export interface Eraser extends Loop {
  counts(): ErasureCounts
}

/**
 * Deletes the rows of removals in small batches, with a pause after each that is as long as the batch took.
 * Safe in every process: a failed batch is retried later, and any process continues the job of a killed one.
 */
export function createEraser({ pools: { system }, log }: Erasing): Eraser {
  const counts = { open: 0, rows: 0, finished: 0, failures: 0 }
  const toldAt = new Map<string, number>()
  let limit = FIRST_ROWS
  const failureMessage = 'deleting the rows of removals failed'
  const loop = repeatEvery({ intervalMs: IDLE_MS, log, failureMessage }, work)

  /** Deletes one batch of a due job, and returns how long to wait for the next; undefined if no job is due. */
  async function work(): Promise<number | undefined> {
    const { id, openCount } = await system.nextErasure()
    counts.open = openCount
    if (id === null) return undefined
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
        'finished deleting the rows of a removal',
      )
    } else if (told === undefined || now - told > PROGRESS_MS) {
      toldAt.set(id, now)
      log.info(
        fields,
        told === undefined ? 'deleting the rows of a removal' : 'still deleting the rows of a removal',
      )
    }
  }

  return { ...loop, counts: () => ({ ...counts }) }
}

function nextLimit(limit: number, tookMs: number): number {
  const factor = Math.min(2, Math.max(0.25, TARGET_MS / tookMs))
  return Math.max(1, Math.min(MAX_ROWS, Math.round(limit * factor)))
}

/**
 * Deletes a small removal completely before the removal answers. Never throws: the eraser deletes the rest.
 */
export async function eraseAtOnce(
  { pools: { system }, log }: Erasing,
  jobs: readonly string[],
): Promise<void> {
  for (const id of jobs.slice(0, JOBS_AT_ONCE)) {
    try {
      await system.eraseBatch(id, ROWS_AT_ONCE)
    } catch (error) {
      log.warn({ err: error, erasure: id }, 'the rows of a removal are deleted later')
    }
  }
}
