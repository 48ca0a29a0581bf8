import type { House } from '../actors.ts'
import type { Household } from './dataset.ts'
import { insertOne, run } from './dataset-rows.ts'

/** Pending approvals with their sequences, and a call that awaits one which nobody has requested. */
export async function createApprovals(
  house: House,
  of: { userId: string; organizationId: string; leasedTaskId: string; runId: string; canary: string },
): Promise<
  Pick<Household, 'approvalId' | 'organizationApprovalId' | 'leasedApprovalId' | 'awaitingToolCallId'>
> {
  const { userId, organizationId, leasedTaskId, runId, canary } = of
  const [askingCallId, awaitingToolCallId] = await Promise.all(
    ['asking', 'awaiting'].map(call =>
      insertOne(
        house,
        `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
         values ($1, $2, $3, 'run_command', '{}', sha256('{}')) returning id`,
        [userId, runId, `${call}-${canary}`],
      ),
    ),
  )
  const approval = (columns: string, values: string, more: unknown[]) =>
    insertOne(
      house,
      `insert into app.approvals (user_id, kind, title, payload, payload_hash, requested_by, event_seq, ${columns})
       values ($1, 'deploy', $2, '{}', sha256('{}'), 'session', ${values}) returning id`,
      [userId, canary, ...more],
    )
  const approvalId = await approval('organization_id', '1, null', [])
  const organizationApprovalId = await approval('organization_id, organization_event_seq', '2, $3, 1', [
    organizationId,
  ])
  const leasedApprovalId = await approval(
    'task_id, tool_call_id, tool, arguments',
    `3, $3, $4, 'run_command', '{}'`,
    [leasedTaskId, askingCallId],
  )
  await run(house, [
    ['insert into app.approval_sequences (user_id, last_seq) values ($1, 3)', [userId]],
    [
      'insert into app.organization_approval_sequences (organization_id, last_seq) values ($1, 1)',
      [organizationId],
    ],
  ])
  return {
    approvalId,
    organizationApprovalId,
    leasedApprovalId,
    awaitingToolCallId: awaitingToolCallId ?? '',
  }
}
