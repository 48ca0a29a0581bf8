import type { SystemCall } from './system-call.ts'

// The system login's calls for removals, whose dependent rows are deleted in batches.

/** A job with a due batch; `id` is null if none is due. */
export interface NextErasure {
  readonly id: string | null
  /** Unfinished jobs, due or not. */
  readonly openCount: number
}

/** The result of one batch, and the progress of its job. */
export interface ErasedBatch {
  /** The table of the removed row. */
  readonly parent: string
  readonly key: Readonly<Record<string, string>>
  /** The dependent table at which the batch ended. */
  readonly step: string | null
  readonly erased: number
  /** Rows of all batches so far. */
  readonly rowCount: number
  readonly isFinished: boolean
  readonly createdAt: Date
}

export async function nextErasure(call: SystemCall): Promise<NextErasure> {
  const [row] = await call('select id, open_count from app.next_erasure()', [])
  return { id: (row?.id as string | null | undefined) ?? null, openCount: Number(row?.openCount) }
}

export async function eraseBatch(call: SystemCall, id: string, limit: number): Promise<ErasedBatch | null> {
  const [row] = await call('select * from app.erase_batch($1, $2)', [id, limit])
  if (!row?.parent) return null
  return { ...(row as unknown as ErasedBatch), rowCount: Number(row.rowCount) }
}

export async function noteErasureFailure(
  call: SystemCall,
  failure: { id: string; reason: string; retryAfterMs: number },
): Promise<void> {
  await call('select app.note_erasure_failure($1, $2, $3)', [
    failure.id,
    failure.reason,
    failure.retryAfterMs,
  ])
}
