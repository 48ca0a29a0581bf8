// One claimed task's lease, from a worker's side: kept alive by heartbeats until its task is over, or given
// up.
import { isRowhouseError, RowhouseError } from './errors.ts'
import type { Outputs, RowhouseClient } from './index.ts'
import { delayMs, pause } from './retries.ts'

export type Claim = NonNullable<Outputs['tasks']['claim']>

export interface Lease {
  /**
   * Aborted once nothing can be written any more; the reason is a RowhouseError with the reason `lease_lost`.
   */
  readonly lost: AbortSignal
  /** Aborted a little before the task's maximum duration is over, while its end can still be told. */
  readonly closing: AbortSignal
  /** From now on the end of the lease is expected: it comes with the task's. */
  settle(): void
  /**
   * Ends the heartbeats; what was not completed or failed goes to another worker when the lease has lapsed.
   */
  release(): void
}

export interface LeaseOptions {
  readonly client: RowhouseClient
  readonly claim: Claim
  readonly leaseSeconds: number
  /** When the claim was sent, by `performance.now()`: the server counts from later. */
  readonly claimedAtMs: number
}

/** Of what is left before the task's maximum duration, this much is for telling how it ended. */
const CLOSING_SHARE = 0.2
const LONGEST_CLOSING_MS = 5_000

export function keepLease({ client, claim, leaseSeconds, claimedAtMs }: LeaseOptions): Lease {
  const lost = new AbortController()
  const closing = new AbortController()
  const released = new AbortController()
  const leaseMs = leaseSeconds * 1_000
  let expiresAtMs = claimedAtMs + leaseMs
  let closingTimer: ReturnType<typeof setTimeout> | undefined
  let isSettling = false

  function lose(cause?: unknown): void {
    release()
    if (!lost.signal.aborted) lost.abort(isLeaseLost(cause) ? cause : leaseLost(cause))
  }

  function release(): void {
    clearTimeout(closingTimer)
    released.abort()
  }

  function closeBy(time: Date): void {
    const leftMs = Math.min(time.getTime() - Date.now(), leaseMs)
    const closingMs = Math.min(leftMs * CLOSING_SHARE, LONGEST_CLOSING_MS)
    closingTimer ??= setTimeout(() => {
      closing.abort(new Error('the task exceeded its maximum duration'))
    }, leftMs - closingMs)
  }

  async function beat(): Promise<void> {
    const sentAtMs = performance.now()
    // Two attempts fit between a heartbeat that got no answer and the lease's end.
    const signal = AbortSignal.any([released.signal, AbortSignal.timeout(Math.ceil(leaseMs / 6))])
    const { expiresAt, stop } = await client.tasks.heartbeat.mutate(undefined, { signal })
    expiresAtMs = sentAtMs + leaseMs
    if (stop) closeBy(expiresAt)
  }

  async function run(): Promise<void> {
    // The server cuts a lease at the task's maximum duration, and says so with the first heartbeat.
    const firstMs = Math.min(leaseMs, Math.max(claim.expiresAt.getTime() - Date.now(), 1_000)) / 3
    for (let waitMs = firstMs, failures = 0; ; ) {
      await pause(waitMs, released.signal)
      if (released.signal.aborted) return
      try {
        await beat()
        failures = 0
        waitMs = leaseMs / 3
      } catch (error) {
        if (released.signal.aborted) return
        // The task's end ended the lease, then; the answer that says so is on its way.
        if (isLeaseLost(error) && isSettling) return
        const leftMs = expiresAtMs - performance.now()
        if (isLeaseLost(error) || leftMs <= 0) return lose(error)
        waitMs = Math.min(delayMs(failures++, error), leftMs)
      }
    }
  }

  void run()
  return {
    lost: lost.signal,
    closing: closing.signal,
    settle() {
      isSettling = true
    },
    release,
  }
}

export function isLeaseLost(error: unknown): boolean {
  return isRowhouseError(error) && error.reason === 'lease_lost'
}

function leaseLost(cause: unknown): RowhouseError {
  const error = cause instanceof Error ? cause : undefined
  const message = 'the lease has lapsed: no heartbeat got through'
  return new RowhouseError(message, { code: 'CONFLICT', reason: 'lease_lost' }, { cause: error })
}
