// Approvals: what an agent or a user asks permission for, and who decided. Open to sessions, to API tokens
// with approvals:read or approvals:write, and to workers, whose lease can request and read approvals of its
// own task. An organization's members see its approvals, and its owners and admins decide them; without one,
// the requester decides, and only with a session: no agent can approve its own request. An approval is
// decided once, is valid only for the requested payload, and changes the status of the waiting tool call.
import type { Services } from '#server/app/services.ts'
import { liveProcedure, procedure, router } from '#server/rpc/trpc.ts'
import { cancelApproval, decideApproval, getApproval, listApprovals, requestApproval } from './queries.ts'
import type { Approval } from './schema.ts'
import * as schema from './schema.ts'
import { announceApproval, approvalSource, audienceOf } from './streams.ts'

const read = procedure('approvals:read')
const readOrLease = procedure('approvals:read+lease')
const write = procedure('approvals:write')
const writeOrLease = procedure('approvals:write+lease')

export const approvalsRouter = router({
  request: writeOrLease
    .input(schema.requestApproval)
    .output(schema.approval)
    .mutation(async ({ ctx, input }) => announced(ctx.services, await requestApproval(ctx.db, input))),
  decide: write
    .input(schema.decideApproval)
    .output(schema.approval)
    .mutation(({ ctx, input }) =>
      decideApproval(ctx.db, input, approval => announced(ctx.services, approval)),
    ),
  cancel: write
    .input(schema.approvalId)
    .output(schema.approval)
    .mutation(async ({ ctx, input }) => announced(ctx.services, await cancelApproval(ctx.db, input.id))),
  list: read
    .input(schema.listApprovals.prefault({}))
    .output(schema.approvalPage)
    .query(({ ctx, input }) => listApprovals(ctx.db, input)),
  get: readOrLease
    .input(schema.approvalId)
    .output(schema.approval)
    .query(({ ctx, input }) => getApproval(ctx.db, input.id)),
  stream: liveProcedure('approvals:read')
    .input(schema.streamApprovals.prefault({}))
    .subscription(async ({ ctx, input }) => {
      const identity = await ctx.identity()
      const organizationId = audienceOf(identity, input.of)
      // Resolves the organization now: a later change of the session's active organization does not affect
      // this stream.
      const caller = { db: ctx.db, scope: { ...ctx.scope, organizationId } }
      return ctx.services.live.open(caller, approvalSource(identity, organizationId), input.lastEventId ?? 0)
    }),
})

/** Publishes the changed approval to its subscribers, and returns it. */
function announced({ live }: Pick<Services, 'live'>, approval: Approval): Approval {
  const { organizationId, requestedBy } = approval
  announceApproval(live, { userId: requestedBy.userId, organizationId })
  return approval
}
