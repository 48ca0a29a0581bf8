// The lifecycle of a webhook event. Guards and a client's buttons are derived from these tables; a trigger
// enforces them for the API's login.

import { WEBHOOK_EVENT_STATUS } from '#server/db/values.ts'
import type { Transition } from '#server/rpc/lifecycle.ts'

export const EVENT_STATUSES = WEBHOOK_EVENT_STATUS
export type EventStatus = (typeof EVENT_STATUSES)[number]

/** The actions of a user. A processed event cannot be replayed, because its effect must apply only once. */
export const EVENT_TRANSITIONS = Object.freeze({
  replay: { from: ['failed', 'dead'], to: 'received' },
}) satisfies Record<string, Transition<EventStatus>>
