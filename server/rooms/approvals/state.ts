// The life of an approval. The functions of migrations/0024_approval_decisions.sql hold callers to it; buttons look here.

import { APPROVAL_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const APPROVAL_STATUSES = APPROVAL_STATUS
export type ApprovalStatus = (typeof APPROVAL_STATUSES)[number]

/** Most urgent last; stored as their index. */
export const PRIORITIES = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof PRIORITIES)[number]

interface ApprovalTransition extends Transition<ApprovalStatus> {
  /** What becomes of the tool call that waits for it. */
  readonly toolCall: 'running' | 'denied' | 'awaiting_approval'
}

/** Once it is not pending any more, nothing changes an approval. */
export const APPROVAL_TRANSITIONS = Object.freeze({
  approve: { from: ['pending'], to: 'approved', toolCall: 'running' },
  reject: { from: ['pending'], to: 'rejected', toolCall: 'denied' },
  expire: { from: ['pending'], to: 'expired', toolCall: 'denied' },
  /** By its requester, or because what was to be approved is not what it was: the call waits for another approval. */
  cancel: { from: ['pending'], to: 'cancelled', toolCall: 'awaiting_approval' },
}) satisfies Readonly<Record<string, ApprovalTransition>>

export type ApprovalAction = keyof typeof APPROVAL_TRANSITIONS

/** Whether an approval in this status takes an action. */
export const isApprovalActionAllowed = /*#__PURE__*/ allowing<ApprovalAction, ApprovalStatus>(
  APPROVAL_TRANSITIONS,
)
