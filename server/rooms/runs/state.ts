// The lifecycles of a run and of a tool call. Guards and a client's buttons are derived from these tables;
// triggers enforce those of calls.

import { AGENT_RUN_STATUS, TOOL_CALL_STATUS } from '#server/db/values.ts'
import type { Transition } from '#server/rpc/lifecycle.ts'

export const RUN_STATUSES = AGENT_RUN_STATUS
export type RunStatus = (typeof RUN_STATUSES)[number]

/** The statuses in which a run may call tools. */
export const LIVE_RUN_STATUSES = ['queued', 'running', 'waiting'] as const satisfies readonly RunStatus[]

const TOOL_CALL_STATUSES = TOOL_CALL_STATUS
export type ToolCallStatus = (typeof TOOL_CALL_STATUSES)[number]

/** The transitions that end a run, by its final status. */
export const RUN_ENDS = Object.freeze({
  completed: { from: LIVE_RUN_STATUSES, to: 'completed' },
  failed: { from: LIVE_RUN_STATUSES, to: 'failed' },
  cancelled: { from: LIVE_RUN_STATUSES, to: 'cancelled' },
}) satisfies Record<string, Transition<RunStatus>>

/**
 * The transitions that end a tool call, by its final status. A call that awaits approval cannot end: a
 * decision starts or denies it.
 */
export const TOOL_CALL_ENDS = Object.freeze({
  succeeded: { from: ['running'], to: 'succeeded' },
  failed: { from: ['running'], to: 'failed' },
}) satisfies Record<string, Transition<ToolCallStatus>>
