// The lives of a run and of a tool call. Guards and a client's buttons are made from these tables; the database keeps calls to
// theirs by triggers.

import { AGENT_RUN_STATUS, TOOL_CALL_STATUS } from '#server/db/values.ts'
import type { Transition } from '#server/rpc/lifecycle.ts'

export const RUN_STATUSES = AGENT_RUN_STATUS
export type RunStatus = (typeof RUN_STATUSES)[number]

/** A run that has not ended: it may call tools. */
export const LIVE_RUN_STATUSES = ['queued', 'running', 'waiting'] as const satisfies readonly RunStatus[]

const TOOL_CALL_STATUSES = TOOL_CALL_STATUS
export type ToolCallStatus = (typeof TOOL_CALL_STATUSES)[number]

/** What ends a run, by the status it ends in. */
export const RUN_ENDS = Object.freeze({
  completed: { from: LIVE_RUN_STATUSES, to: 'completed' },
  failed: { from: LIVE_RUN_STATUSES, to: 'failed' },
  cancelled: { from: LIVE_RUN_STATUSES, to: 'cancelled' },
}) satisfies Record<string, Transition<RunStatus>>

/**
 * What ends a tool call, by the status it ends in. A call that awaits approval takes neither: a decision lets it run, or
 * denies it.
 */
export const TOOL_CALL_ENDS = Object.freeze({
  succeeded: { from: ['running'], to: 'succeeded' },
  failed: { from: ['running'], to: 'failed' },
}) satisfies Record<string, Transition<ToolCallStatus>>
