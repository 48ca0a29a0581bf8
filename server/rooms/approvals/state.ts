// The lifecycle of an approval. The functions in migrations/0030_approval_decisions.sql enforce it; buttons
// read this table.

import { APPROVAL_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const APPROVAL_STATUSES = APPROVAL_STATUS
export type ApprovalStatus = (typeof APPROVAL_STATUSES)[number]

/** In ascending order; stored as their index. */
export const PRIORITIES = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof PRIORITIES)[number]

interface ApprovalTransition extends Transition<ApprovalStatus> {
  /** The new status of the waiting tool call. */
  readonly toolCall: 'running' | 'denied' | 'awaiting_approval'
}

/** An approval that is not pending never changes. */
export const APPROVAL_TRANSITIONS = Object.freeze({
  approve: { from: ['pending'], to: 'approved', toolCall: 'running' },
  reject: { from: ['pending'], to: 'rejected', toolCall: 'denied' },
  expire: { from: ['pending'], to: 'expired', toolCall: 'denied' },
  /** By its requester, or because the payload has changed: the call waits for another approval. */
  cancel: { from: ['pending'], to: 'cancelled', toolCall: 'awaiting_approval' },
}) satisfies Readonly<Record<string, ApprovalTransition>>

export type ApprovalAction = keyof typeof APPROVAL_TRANSITIONS

export const isApprovalActionAllowed = /*#__PURE__*/ allowing<ApprovalAction, ApprovalStatus>(
  APPROVAL_TRANSITIONS,
)
