import { z } from 'zod'
import { selectApproval } from '#server/db/rows.ts'
import { filledText, id, json, jsonValue, page, pageOf } from '#server/rpc/inputs.ts'
import { APPROVAL_STATUSES, PRIORITIES } from './state.ts'

const MAX_NOTE = 2_000
/** Postgres' largest integer. */
const MAX_INT = 2_147_483_647

export const approval = selectApproval
  .pick({
    id: true,
    /** Whose owners and admins decide; null where the requester does, signed in. */
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
    /** Who asks, by which kind of credential. */
    requestedBy: z.strictObject({ userId: id, credential: selectApproval.shape.requestedBy }),
    payload: jsonValue,
    /** The call that waits, as it was when approval was requested. */
    toolCall: z.strictObject({ id, tool: z.string(), arguments: jsonValue }).nullable(),
    /** What a decision is bound to: SHA-256 of the canonical JSON (RFC 8785) of the call's arguments, else of the payload; in hex. */
    payloadHash: z.string(),
    priority: z.enum(PRIORITIES),
  })
export const approvalPage = pageOf(approval)

export const approvalId = z.strictObject({ id })

export const requestApproval = z.strictObject({
  /** What kind of thing is to be allowed, in the requester's own words: `tool_call`, `deploy`. */
  kind: filledText(100),
  title: filledText(500),
  /** What the one who decides is shown. Of a tool call, they are shown its tool and arguments as well. */
  payload: json(),
  /** The call that waits for the decision. */
  toolCallId: id.optional(),
  /** Whose admins and owners decide. Left out: the task's organization, else the one in which the call acts. */
  organizationId: id.optional(),
  priority: z.enum(PRIORITIES).default('normal'),
  /** From then on it is a denial. */
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
    ctx.addIssue({ code: 'custom', message: 'must be the cursor of a page' })
    return z.NEVER
  })

export const listApprovals = z.strictObject({
  status: z.enum(APPROVAL_STATUSES).optional(),
  ...page(cursor),
})

export const streamApprovals = z.strictObject({
  /** Those of the organization in which the call acts, or one's own. Left out: the organization's, where there is one. */
  of: z.enum(['organization', 'self']).optional(),
  /** The last event's id; tRPC fills it in from the header when a client reconnects. */
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
