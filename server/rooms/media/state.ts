// A media item's life. Guards, the SQL check and a client's buttons are made from these tables.

import { MEDIA_ITEM_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const MEDIA_STATUSES = MEDIA_ITEM_STATUS
export type MediaStatus = (typeof MEDIA_STATUSES)[number]

export const MEDIA_TRANSITIONS = Object.freeze({
  complete: { from: ['uploading'], to: 'uploaded' },
  process: { from: ['uploaded'], to: 'processing' },
  finish: { from: ['processing'], to: 'ready' },
  fail: { from: ['uploading', 'uploaded', 'processing'], to: 'failed' },
  /** The store did not answer, so that completing may be tried again. */
  reopen: { from: ['uploaded', 'processing'], to: 'uploading' },
  download: { from: ['ready'], to: null },
  remove: { from: ['uploading', 'ready', 'failed'], to: null },
  restore: { from: ['uploading', 'ready', 'failed'], to: null },
}) satisfies Record<string, Transition<MediaStatus, MediaStatus | null>>

export type MediaAction = keyof typeof MEDIA_TRANSITIONS

/** Whether an item in this status takes the action. */
export const isMediaActionAllowed = /*#__PURE__*/ allowing<MediaAction, MediaStatus>(MEDIA_TRANSITIONS)
