import type { Logger } from '#server/app/logger.ts'
import { type Loop, repeatEvery } from '#server/app/repeat-every.ts'
import type { SystemDatabase } from '#server/system/system.ts'
import type { ClaimedEvent } from '#server/system/system-webhooks.ts'

type EventStore = Pick<SystemDatabase, 'claimWebhookEvents' | 'processWebhookEvent' | 'failWebhookEvent'>

interface ProcessorOptions {
  readonly system: EventStore
  readonly log: Pick<Logger, 'info' | 'warn'>
}

export const MAX_ATTEMPTS = 10

const BATCH_SIZE = 50
// After this time, others take over the claims of a process that ended.
const CLAIM_SECONDS = 60
const POLL_MS = 1_000
const FIRST_RETRY_MS = 2_000
const LAST_RETRY_MS = 15 * 60_000
const FAILURE = 'processing failed; the cause has been logged'

/** Processes the due events of all processes, once it is woken; safe to run in every process. */
export function createProcessor({ system, log }: ProcessorOptions): Loop {
  const options = { intervalMs: POLL_MS, log, failureMessage: 'processing webhook events failed' }
  return repeatEvery(options, async () => {
    const count = await processDueEvents({ system, log })
    return count === BATCH_SIZE ? 0 : undefined
  })
}

/** Claims a batch of events and processes it one by one. Returns the number claimed. */
export async function processDueEvents({ system, log }: ProcessorOptions): Promise<number> {
  const events = await system.claimWebhookEvents(BATCH_SIZE, CLAIM_SECONDS, MAX_ATTEMPTS)
  for (const event of events) await processEvent({ system, log }, event)
  return events.length
}

/** Throws if the failure could not be recorded: others take the event when its claim expires. */
async function processEvent({ system, log }: ProcessorOptions, event: ClaimedEvent): Promise<void> {
  try {
    await system.processWebhookEvent(event)
  } catch (error) {
    const { id, attempt } = event
    log.warn({ err: error, id, attempt }, 'a webhook event could not be processed')
    await system.failWebhookEvent(event, FAILURE, retryAfterMs(attempt))
  }
}

/**
 * Doubles with every attempt, and is shorter by a random part of up to a half, so that events that failed
 * together are not retried together.
 */
export function retryAfterMs(attempt: number, random = Math.random): number | null {
  if (attempt >= MAX_ATTEMPTS) return null
  const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LAST_RETRY_MS)
  return Math.round(delayMs * (1 - random() / 2))
}
