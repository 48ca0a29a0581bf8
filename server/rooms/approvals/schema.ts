import { z } from 'zod'
import { selectApproval } from '#server/db/rows.ts'
import { filledText, id, json, jsonValue, page, pageOf } from '#server/rpc/inputs.ts'
import { APPROVAL_STATUSES, PRIORITIES } from './state.ts'

const MAX_NOTE = 2_000
/** The maximum of a Postgres integer. */
const MAX_INT = 2_147_483_647

export const approval = selectApproval
  .pick({
    id: true,
    /** The organization whose owners and admins decide; null if the requester decides, with a session. */
    organizationId: true,
    taskId: true,
    kind: true,
    title: true,
    status: true,
    /** The user who approved or rejected it. */
    decidedBy: true,
    decidedAt: true,
    note: true,
    expiresAt: true,
    createdAt: true,
    updatedAt: true,
  })
  .extend({
    /** The kind of credential that requested it. */
    requestedBy: z.strictObject({ userId: id, credential: selectApproval.shape.requestedBy }),
    payload: jsonValue,
    /** The waiting call, as it was when the approval was requested. */
    toolCall: z.strictObject({ id, tool: z.string(), arguments: jsonValue }).nullable(),
    /**
     * The hash that a decision is bound to: SHA-256, in hex, of the canonical JSON (RFC 8785) of the call's
     * arguments, or of the payload if there is no call.
     */
    payloadHash: z.string(),
    priority: z.enum(PRIORITIES),
  })
export const approvalPage = pageOf(approval)

export const approvalId = z.strictObject({ id })

export const requestApproval = z.strictObject({
  /** The kind of the request, in the requester's own words, such as `tool_call` or `deploy`. */
  kind: filledText(100),
  title: filledText(500),
  /** Shown to the user who decides. For a tool call, its tool and arguments are shown as well. */
  payload: json(),
  /** The tool call that waits for the decision. */
  toolCallId: id.optional(),
  /**
   * The organization whose admins and owners decide. Defaults to the task's organization, or else to the one
   * in which the call acts.
   */
  organizationId: id.optional(),
  priority: z.enum(PRIORITIES).default('normal'),
  /** After this time, the approval counts as rejected. */
  expiresAt: z.date().optional(),
})

export const decideApproval = z.strictObject({
  id,
  decision: z.enum(['approve', 'reject']),
  note: filledText(MAX_NOTE).optional(),
})

const cursor = z
  .string()
  .max(100)
  .transform((value, ctx) => {
    const [priority = '', last = ''] = value.split(':', 2)
    const parsed = z.object({ priority: z.enum(PRIORITIES), id }).safeParse({ priority, id: last })
    if (parsed.success) return parsed.data
    ctx.addIssue({ code: 'custom', message: 'must be a cursor that list returned' })
    return z.NEVER
  })

export const listApprovals = z.strictObject({
  status: z.enum(APPROVAL_STATUSES).optional(),
  ...page(cursor),
})

export const streamApprovals = z.strictObject({
  /**
   * The approvals of the organization in which the call acts, or the caller's own. Defaults to the
   * organization, if there is one.
   */
  of: z.enum(['organization', 'self']).optional(),
  /** The id of the last event received; tRPC fills it in from the header when a client reconnects. */
  lastEventId: z
    .string()
    .regex(/^\d{1,10}$/)
    .transform(Number)
    .refine(seq => seq <= MAX_INT)
    .optional(),
})

export type Approval = z.output<typeof approval>
export type RequestApproval = z.output<typeof requestApproval>
export type DecideApproval = z.output<typeof decideApproval>
export type ListApprovals = z.output<typeof listApprovals>
export type StreamApprovals = z.output<typeof streamApprovals>
