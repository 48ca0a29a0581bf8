// The life of content. Guards, the SQL check and a client's buttons are made from these tables.

import { CONTENT_STATUS } from '../db/values.ts'

export const CONTENT_STATUSES = CONTENT_STATUS
export type ContentStatus = (typeof CONTENT_STATUSES)[number]

interface Transition {
  readonly from: readonly ContentStatus[]
  /** What the content becomes; null where its status stays. */
  readonly to: ContentStatus | null
}

export const CONTENT_TRANSITIONS = Object.freeze({
  publish: { from: ['draft', 'archived'], to: 'published' },
  unpublish: { from: ['published', 'archived'], to: 'draft' },
  archive: { from: ['draft', 'published'], to: 'archived' },
  remove: { from: CONTENT_STATUSES, to: null },
  restore: { from: CONTENT_STATUSES, to: null },
}) satisfies Record<string, Transition>

export type ContentAction = keyof typeof CONTENT_TRANSITIONS

/** Whether content in this status takes the action. */
export function isContentActionAllowed(action: ContentAction, status: ContentStatus): boolean {
  const from: readonly ContentStatus[] = CONTENT_TRANSITIONS[action].from
  return from.includes(status)
}
