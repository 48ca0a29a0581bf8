import { hash } from 'node:crypto'
import { type RawBuilder, type Selectable, sql } from 'kysely'
import { canonicalJson } from '#server/crypto/canonical-json.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import type { AppApprovals } from '#server/db/types.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'
import type { Approval, DecideApproval, ListApprovals, RequestApproval } from './schema.ts'
import { APPROVAL_TRANSITIONS, PRIORITIES } from './state.ts'

const COLUMNS = [
  'userId',
  'id',
  'organizationId',
  'taskId',
  'toolCallId',
  'kind',
  'title',
  'payload',
  'tool',
  'arguments',
  'payloadHash',
  'priority',
  'requestedBy',
  'status',
  'decidedBy',
  'decidedAt',
  'note',
  'expiresAt',
  'createdAt',
  'updatedAt',
] as const

export type ApprovalRow = Pick<Selectable<AppApprovals>, (typeof COLUMNS)[number]>

/**
 * Requests an approval. For a tool call with a pending approval, returns that one. Throws
 * `illegal_transition` for a call that does not await approval, and `not_found` for an organization that the
 * caller does not belong to.
 */
export async function requestApproval(db: Database, input: RequestApproval): Promise<Approval> {
  const { kind, title, payload, priority, toolCallId = null, organizationId = null, expiresAt = null } = input
  const row = await callApprovals(
    db,
    sql`app.request_approval(
      ${kind}, ${title}, ${JSON.stringify(payload)}::jsonb, ${hashOf(payload)}::bytea,
      ${PRIORITIES.indexOf(priority)}::integer, ${toolCallId}::uuid, ${organizationId}::uuid, ${expiresAt}::timestamptz
    )`,
  )
  if (!row) throw new Error('requesting an approval returned no row')
  return toApproval(row)
}

/**
 * Approves or rejects a request, and changes the status of its tool call. Throws `role_too_low` or
 * `missing_scope` if the caller may not decide, `already_decided` if it was decided before or has expired,
 * and `payload_changed` if the payload is not the requested one any more. Calls `onChange` for each change
 * that is committed, even if the decision is then refused.
 */
export async function decideApproval(
  db: Database,
  { id, decision, note }: DecideApproval,
  onChange: (approval: Approval) => void,
): Promise<Approval> {
  const shown = await getApproval(db, id)
  const shownHash = hashOf(shown.toolCall ? shown.toolCall.arguments : shown.payload)
  const row = await callApprovals(
    db,
    sql`app.decide_approval(${id}::uuid, ${decision}, ${note ?? null}::text, ${shownHash}::bytea)`,
  )
  if (!row) throw notFound('approval')
  const approval = toApproval(row)
  onChange(approval)
  if (approval.status === 'expired')
    throw new AppError('already_decided', `approval "${id}" has expired, which counts as a rejection`)
  if (approval.status !== APPROVAL_TRANSITIONS[decision].to)
    throw new AppError(
      'payload_changed',
      `the payload of approval "${id}" has changed: request a new approval`,
    )
  return approval
}

/** Cancels the caller's request. Its tool call keeps waiting, for another approval. */
export async function cancelApproval(db: Database, id: string): Promise<Approval> {
  const row = await callApprovals(db, sql`app.cancel_approval(${id}::uuid)`)
  if (!row) throw notFound('approval')
  return toApproval(row)
}

/** Returns a page of the approvals that the caller may see, by priority and then newest first. */
export async function listApprovals(db: Database, input: ListApprovals): Promise<Page<Approval>> {
  let query = db
    .selectFrom('app.approvals')
    .select(COLUMNS)
    .where('deletionId', 'is', null)
    .orderBy('priority', 'desc')
    .orderBy('id', 'desc')
    .limit(input.limit + 1)
  if (input.status) query = query.where('status', '=', input.status)
  if (input.cursor) {
    const { priority, id } = input.cursor
    query = query.where(sql<boolean>`(priority, id) < (${PRIORITIES.indexOf(priority)}, ${id}::uuid)`)
  }
  const rows = await query.execute()
  return toPage(rows.map(toApproval), input.limit, ({ priority, id }) => `${priority}:${id}`)
}

export async function getApproval(db: Database, id: string): Promise<Approval> {
  const row = await db
    .selectFrom('app.approvals')
    .select(COLUMNS)
    .where('id', '=', id)
    .where('deletionId', 'is', null)
    .executeTakeFirst()
  if (!row) throw notFound('approval')
  return toApproval(row)
}

export function toApproval(row: ApprovalRow): Approval {
  const { toolCallId, tool, arguments: given } = row
  return {
    id: row.id,
    organizationId: row.organizationId,
    taskId: row.taskId,
    requestedBy: { userId: row.userId, credential: row.requestedBy },
    kind: row.kind,
    title: row.title,
    payload: row.payload as Json,
    toolCall: toolCallId === null ? null : { id: toolCallId, tool: tool ?? '', arguments: given as Json },
    payloadHash: row.payloadHash.toString('hex'),
    priority: PRIORITIES[row.priority] ?? 'normal',
    status: row.status,
    decidedBy: row.decidedBy,
    decidedAt: row.decidedAt,
    note: row.note,
    expiresAt: row.expiresAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  }
}

function hashOf(value: Json): Buffer {
  return hash('sha256', canonicalJson(value), 'buffer')
}

function callApprovals(db: Database, call: RawBuilder<unknown>): Promise<ApprovalRow | undefined> {
  return db.selectFrom(sql<ApprovalRow>`${call}`.as('approval')).select(COLUMNS).executeTakeFirst()
}
