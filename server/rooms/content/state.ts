// The lifecycle of content. Guards, the SQL check and a client's buttons are derived from these tables.

import { CONTENT_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const CONTENT_STATUSES = CONTENT_STATUS
export type ContentStatus = (typeof CONTENT_STATUSES)[number]

export const CONTENT_TRANSITIONS = Object.freeze({
  publish: { from: ['draft', 'archived'], to: 'published' },
  unpublish: { from: ['published', 'archived'], to: 'draft' },
  archive: { from: ['draft', 'published'], to: 'archived' },
  remove: { from: CONTENT_STATUSES, to: null },
  restore: { from: CONTENT_STATUSES, to: null },
}) satisfies Record<string, Transition<ContentStatus, ContentStatus | null>>

export type ContentAction = keyof typeof CONTENT_TRANSITIONS

export const isContentActionAllowed = /*#__PURE__*/ allowing<ContentAction, ContentStatus>(
  CONTENT_TRANSITIONS,
)
