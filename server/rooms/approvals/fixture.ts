// Runs with tool calls that await approval.
import { type Actor, createActor, createOrganization, type House } from '#server/testing/actors.ts'

export const asked = { kind: 'deploy', title: 'Deploy to production?', payload: { b: 1, a: [true] } }

export interface Team {
  readonly organizationId: string
  readonly owner: Actor
  readonly admin: Actor
  readonly member: Actor
}

export async function createTeam(house: House): Promise<Team> {
  const owner = await createActor(house, { name: 'Owner' })
  const admin = await createActor(house, { name: 'Admin' })
  const member = await createActor(house, { name: 'Member' })
  const { id: organizationId } = await createOrganization(owner, [{ actor: admin, role: 'admin' }, member])
  return { organizationId, owner, admin, member }
}

let lastCall = 0

/** Creates a tool call that awaits approval, perhaps of a task. */
export async function createWaitingCall(
  actor: Pick<Actor, 'caller'>,
  taskId?: string,
): Promise<{ runId: string; id: string }> {
  const { runs } = actor.caller()
  const { id: runId } = await runs.start({ agent: 'claude', ...(taskId === undefined ? {} : { taskId }) })
  const { id, status } = await runs.toolCalls.start({
    runId,
    callId: `call-${++lastCall}`,
    tool: 'run_command',
    arguments: { command: ['rm', '-r', 'dist'] },
  })
  if (status !== 'awaiting_approval') throw new Error(`the call is ${status}`)
  return { runId, id }
}

export async function statusOfCall(house: House, id: string): Promise<Record<string, unknown>> {
  const { rows } = await house.owner.query(
    `select status, error, started_at is not null as "hasStarted", finished_at is not null as "hasFinished"
     from app.tool_calls where id = $1`,
    [id],
  )
  return rows[0]
}

/** Sets an approval's expiry to the past. */
export async function lapse(house: House, id: string): Promise<void> {
  await house.owner.query(`update app.approvals set expires_at = now() - interval '1 second' where id = $1`, [
    id,
  ])
}
