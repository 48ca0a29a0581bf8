import type { SystemCall } from './system-call.ts'

// The system login's calls for webhooks, which belong to no single user.

/** A verified webhook in its stored form. */
export interface ReceivedWebhook {
  readonly provider: string
  readonly deliveryId: string
  /** SHA-256 of the signed body. */
  readonly bodyHash: Buffer
  readonly eventType: string
  readonly externalIds: readonly string[]
  readonly effect: string | null
  readonly headers: object
  readonly payload: object
}

/** A webhook event that this process has claimed, until the claim expires. */
export interface ClaimedEvent {
  readonly userId: string
  readonly id: string
  readonly attempt: number
}

export async function receiveWebhook(
  call: SystemCall,
  webhook: ReceivedWebhook,
): Promise<{ isNew: boolean; eventCount: number }> {
  const [row] = await call('select * from app.receive_webhook($1, $2, $3, $4, $5, $6, $7, $8)', [
    webhook.provider,
    webhook.deliveryId,
    webhook.bodyHash,
    webhook.eventType,
    webhook.externalIds,
    webhook.effect,
    JSON.stringify(webhook.headers),
    JSON.stringify(webhook.payload),
  ])
  return { isNew: row?.isNew === true, eventCount: Number(row?.eventCount) }
}

export async function claimWebhookEvents(
  call: SystemCall,
  { limit, claimSeconds, maxAttempts }: { limit: number; claimSeconds: number; maxAttempts: number },
): Promise<ClaimedEvent[]> {
  const rows = await call('select * from app.claim_webhook_events($1, $2, $3)', [
    limit,
    claimSeconds,
    maxAttempts,
  ])
  return rows as unknown as ClaimedEvent[]
}

export async function processWebhookEvent(
  call: SystemCall,
  { userId, id, attempt }: ClaimedEvent,
): Promise<boolean> {
  const [row] = await call('select app.process_webhook_event($1, $2, $3) as done', [userId, id, attempt])
  return row?.done === true
}

export async function failWebhookEvent(
  call: SystemCall,
  { userId, id, attempt }: ClaimedEvent,
  { error, retryAfterMs }: { error: string; retryAfterMs: number | null },
): Promise<void> {
  await call('select app.fail_webhook_event($1, $2, $3, $4, $5)', [userId, id, attempt, error, retryAfterMs])
}
