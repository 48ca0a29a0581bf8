import { z } from 'zod'
import { selectWebhookEvent } from '#server/db/rows.ts'
import { PROVIDERS } from '#server/rooms/connections/schema.ts'
import { id, jsonValue, page, pageOf } from '#server/rpc/inputs.ts'
import { EVENT_STATUSES } from './state.ts'

/** An event without its payload, which may be as large as a megabyte. */
export const eventSummary = selectWebhookEvent.pick({
  id: true,
  connectionId: true,
  provider: true,
  eventType: true,
  status: true,
  attempts: true,
  nextAttemptAt: true,
  lastError: true,
  processedAt: true,
  createdAt: true,
  updatedAt: true,
})
export const eventPage = pageOf(eventSummary)
export const event = eventSummary.extend({ payload: jsonValue })

export const eventId = z.strictObject({ id })

export const listEvents = z.strictObject({
  provider: z.enum(PROVIDERS).optional(),
  status: z.enum(EVENT_STATUSES).optional(),
  ...page(id),
})

export type EventSummary = z.output<typeof eventSummary>
export type WebhookEvent = z.output<typeof event>
export type ListEvents = z.output<typeof listEvents>
