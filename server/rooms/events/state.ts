// The life of a webhook event. Guards and a client's buttons are made from these tables; the database keeps the API's login to
// them by a trigger.

import { WEBHOOK_EVENT_STATUS } from '#server/db/values.ts'
import type { Transition } from '#server/rpc/lifecycle.ts'

export const EVENT_STATUSES = WEBHOOK_EVENT_STATUS
export type EventStatus = (typeof EVENT_STATUSES)[number]

/** What a user may do with an event. One that was processed has had its effect, and has it once. */
export const EVENT_TRANSITIONS = Object.freeze({
  replay: { from: ['failed', 'dead'], to: 'received' },
}) satisfies Record<string, Transition<EventStatus>>
