import type { House } from '../actors.ts'
import type { Household } from './dataset.ts'
import { createApprovals } from './dataset-approvals.ts'
import { createLease } from './dataset-leases.ts'
import { insertOne, run } from './dataset-rows.ts'

type Work = Pick<
  Household,
  | 'taskId'
  | 'removedTaskId'
  | 'stoppedTaskId'
  | 'leasedTaskId'
  | 'lease'
  | 'messageId'
  | 'runId'
  | 'toolCallId'
  | 'approvalId'
  | 'organizationApprovalId'
  | 'leasedApprovalId'
  | 'awaitingToolCallId'
>

/**
 * Tasks with everything that hangs on them: a lease, messages and logs, runs and what these call and ask for.
 */
export async function createWork(
  house: House,
  { userId, organizationId, canary }: { userId: string; organizationId: string; canary: string },
): Promise<Work> {
  const [taskId, removedTaskId, stoppedTaskId, leasedTaskId] = await Promise.all([
    createTask(house, { userId, organizationId, canary }, `'pending', null, null`),
    createTask(house, { userId, organizationId, canary }, `'pending', now(), app.new_id()`),
    createTask(house, { userId, organizationId, canary }, `'stopped', null, null`),
    createTask(house, { userId, organizationId, canary }, `'processing', null, null`),
  ])
  const lease = await createLease(house, { userId, taskId: leasedTaskId, worker: canary })
  const messageId = await insertOne(
    house,
    `insert into app.task_messages (user_id, task_id, seq, role, content, status, length)
     values ($1, $2, 1, 'agent', '', 'streaming', length($3)) returning id`,
    [userId, leasedTaskId, canary],
  )
  const runId = await insertOne(
    house,
    'insert into app.agent_runs (user_id, task_id, agent) values ($1, $2, $3) returning id',
    [userId, leasedTaskId, canary],
  )
  const approvals = await createApprovals(house, { userId, organizationId, leasedTaskId, runId, canary })
  // The run's last call.
  const toolCallId = await insertOne(
    house,
    `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
     values ($1, $2, $3, 'read_file', '{}', sha256('{}')) returning id`,
    [userId, runId, canary],
  )
  const userMessageId = await insertOne(
    house,
    `insert into app.task_messages (user_id, task_id, seq, role, content, status, length)
     values ($1, $2, 1, 'user', $3, 'complete', length($3)) returning id`,
    [userId, taskId, canary],
  )
  const otherRunId = await insertOne(
    house,
    'insert into app.agent_runs (user_id, agent) values ($1, $2) returning id',
    [userId, canary],
  )
  await run(house, [
    // What its owner's lease on another task must not see.
    [
      `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
       values ($1, $2, $3, 'read_file', '{}', sha256('{}'))`,
      [userId, otherRunId, canary],
    ],
    [
      'insert into app.task_message_deltas (user_id, message_id, "offset", text) values ($1, $2, 0, $3)',
      [userId, userMessageId, canary],
    ],
    [
      'insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 1, $3, $4)',
      [userId, taskId, 'info', canary],
    ],
    [
      'insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 1, $3, $4)',
      [userId, leasedTaskId, 'info', canary],
    ],
    [
      'insert into app.task_message_deltas (user_id, message_id, "offset", text) values ($1, $2, 0, $3)',
      [userId, messageId, canary],
    ],
    [
      `insert into app.task_events (user_id, task_id, seq, kind, message_id, "offset")
       values ($1, $2, 1, 'message', $3, null), ($1, $4, 1, 'message', $5, null), ($1, $4, 2, 'delta', $5, 0)`,
      [userId, taskId, userMessageId, leasedTaskId, messageId],
    ],
    ['update app.tasks set last_event_seq = 1 where user_id = $1 and id = $2', [userId, taskId]],
    ['update app.tasks set last_event_seq = 2 where user_id = $1 and id = $2', [userId, leasedTaskId]],
  ])
  return {
    taskId,
    removedTaskId,
    stoppedTaskId,
    leasedTaskId,
    lease,
    messageId,
    runId,
    toolCallId,
    ...approvals,
  }
}

async function createTask(
  house: House,
  { userId, organizationId, canary }: { userId: string; organizationId: string; canary: string },
  state: string,
): Promise<string> {
  return insertOne(
    house,
    `insert into app.tasks
       (user_id, organization_id, title, prompt, last_log_seq, last_message_seq, status, deleted_at, deletion_id)
     values ($1, $2, $3, $3, 1, 1, ${state}) returning id`,
    [userId, organizationId, canary],
  )
}
