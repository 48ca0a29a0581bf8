// The lease of one claimed task, on a worker's side: heartbeats renew it until its task is over or the lease
// is released.
import { isRowhouseError, RowhouseError } from './errors.ts'
import type { Outputs, RowhouseClient } from './index.ts'
import { delayMs, pause } from './retries.ts'

export type Claim = NonNullable<Outputs['tasks']['claim']>

export interface Lease {
  /** Aborted once no write can succeed; the reason is a RowhouseError with the reason `lease_lost`. */
  readonly lost: AbortSignal
  /** Aborted shortly before the task's maximum duration is over, while its end can still be reported. */
  readonly closing: AbortSignal
  /** Expects the end of the lease from now on, because the task is being ended. */
  settle(): void
  /**
   * Stops the heartbeats; a task that was not completed or failed goes to another worker once the lease
   * expires.
   */
  release(): void
}

export interface LeaseOptions {
  readonly client: RowhouseClient
  readonly claim: Claim
  readonly leaseSeconds: number
  /** When the claim was sent, by `performance.now()`; the server's lease starts later. */
  readonly claimedAtMs: number
}

/** The share of the time left before the task's maximum duration that is reserved for reporting its end. */
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
    // Two attempts fit between an unanswered heartbeat and the lease's end.
    const signal = AbortSignal.any([released.signal, AbortSignal.timeout(Math.ceil(leaseMs / 6))])
    const { expiresAt, stop } = await client.tasks.heartbeat.mutate(undefined, { signal })
    expiresAtMs = sentAtMs + leaseMs
    if (stop) closeBy(expiresAt)
  }

  async function run(): Promise<void> {
    // The server limits a lease to the task's maximum duration; the first heartbeat's answer says so.
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
        // The task's end ended the lease; the answer that reports it is still to come.
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
  const message = 'the lease has expired: no heartbeat reached the server'
  return new RowhouseError(message, { code: 'CONFLICT', reason: 'lease_lost' }, { cause: error })
}
