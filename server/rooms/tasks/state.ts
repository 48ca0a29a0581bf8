// The lifecycle of a task. Guards, the SQL check and a client's buttons are derived from these tables.

import { TASK_STATUS } from '#server/db/values.ts'
import { allowing, type Transition } from '#server/rpc/lifecycle.ts'

export const TASK_STATUSES = TASK_STATUS
export type TaskStatus = (typeof TASK_STATUSES)[number]

export const TASK_TRANSITIONS = Object.freeze({
  claim: { from: ['pending', 'processing'], to: 'processing' },
  complete: { from: ['processing'], to: 'completed' },
  fail: { from: ['processing'], to: 'error' },
  stop: { from: ['pending', 'processing'], to: 'stopped' },
  retry: { from: ['error', 'stopped'], to: 'pending' },
  remove: { from: ['pending', 'completed', 'error', 'stopped'], to: null },
  restore: { from: ['pending', 'completed', 'error', 'stopped'], to: null },
}) satisfies Record<string, Transition<TaskStatus, TaskStatus | null>>

export type TaskAction = keyof typeof TASK_TRANSITIONS

const ENDED: readonly TaskStatus[] = ['completed', 'error', 'stopped']

/** A retry can make an ended task pending again. */
export function isOver(status: TaskStatus): boolean {
  return ENDED.includes(status)
}

export const isTaskActionAllowed = /*#__PURE__*/ allowing<TaskAction, TaskStatus>(TASK_TRANSITIONS)
