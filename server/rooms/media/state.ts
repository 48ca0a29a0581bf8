// The lifecycle of a media item. Guards, the SQL check and a client's buttons are derived from these tables.

import { MEDIA_ITEM_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const MEDIA_STATUSES = MEDIA_ITEM_STATUS
export type MediaStatus = (typeof MEDIA_STATUSES)[number]

export const MEDIA_TRANSITIONS = Object.freeze({
  complete: { from: ['uploading'], to: 'uploaded' },
  process: { from: ['uploaded'], to: 'processing' },
  finish: { from: ['processing'], to: 'ready' },
  fail: { from: ['uploading', 'uploaded', 'processing'], to: 'failed' },
  /** The inspection failed for a reason other than the file, so the upload can be completed again. */
  reopen: { from: ['uploaded', 'processing'], to: 'uploading' },
  download: { from: ['ready'], to: null },
  remove: { from: ['uploading', 'ready', 'failed'], to: null },
  restore: { from: ['uploading', 'ready', 'failed'], to: null },
}) satisfies Record<string, Transition<MediaStatus, MediaStatus | null>>

export type MediaAction = keyof typeof MEDIA_TRANSITIONS

export const isMediaActionAllowed = /*#__PURE__*/ allowing<MediaAction, MediaStatus>(MEDIA_TRANSITIONS)
