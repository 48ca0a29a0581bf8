import { sql } from 'kysely'
import type { Services } from '#server/app/services.ts'
import type { Database } from '#server/db/database.ts'
import type { Identity } from '#server/db/identity.ts'
import type { EventPage } from '#server/live/feed.ts'
import type { Live } from '#server/live/live.ts'
import type { LiveSource } from '#server/live/source.ts'
import type { Topic } from '#server/live/topics.ts'
import { AppError } from '#server/rpc/errors.ts'
import { type ApprovalRow, toApproval } from './queries.ts'
import type { Approval, StreamApprovals } from './schema.ts'

const MAX_PAGE_EVENTS = 100
/** A page ends with the approval that exceeds this size. */
const MAX_PAGE_BYTES = 256 * 1024

/** Returns the id of the organization whose approvals are streamed; null for the caller's own. */
export function audienceOf({ organization }: Identity, wanted: StreamApprovals['of']): string | null {
  if (wanted === 'self') return null
  if (wanted === 'organization' && !organization)
    throw new AppError(
      'not_a_member',
      'a stream of an organization’s approvals requires the header x-organization-id',
    )
  return organization?.id ?? null
}

/**
 * The approvals of an organization, or the caller's own: each in its latest state, with the number of its
 * latest change. All subscribers of one stream have the same right to it, whatever else their credentials
 * allow. Never ends by itself.
 */
export function approvalSource(
  { userId }: Pick<Identity, 'userId'>,
  organizationId: string | null,
): LiveSource<Approval> {
  return {
    topic: topicOf(organizationId ?? userId),
    taskId: null,
    permission: 'approvals:read',
    read: (db, after) =>
      organizationId === null ? readOwn(db, after) : readOrganizations(db, organizationId, after),
    progressOf: ({ lastEventSeq }) => ({ lastSeq: lastEventSeq, isOver: false }),
  }
}

/** Publishes that an approval changed, to the streams of its requester and its organization. */
export function announceApproval(
  live: Live,
  { userId, organizationId }: { userId: string; organizationId: string | null },
): void {
  live.announce(topicOf(userId))
  if (organizationId !== null) live.announce(topicOf(organizationId))
}

/** Expires overdue approvals one by one, and publishes each change. */
export async function expireApprovals({ pools, live }: Pick<Services, 'pools' | 'live'>): Promise<void> {
  for (;;) {
    const expired = await pools.system.expireApproval()
    if (!expired) return
    announceApproval(live, expired)
  }
}

function topicOf(audienceId: string): Topic {
  return `approvals:${audienceId}`
}

type EventRow = { readerId: string; lastSeq: number } & ((ApprovalRow & { seq: number }) | { seq: null })

/** Reads the last number and the approvals in one statement, so both are from one snapshot. */
async function readOwn(db: Database, after: number): Promise<EventPage<Approval>> {
  const { rows } = await sql<EventRow>`
    select caller.user_id as reader_id, coalesce(sequence.last_seq, 0) as last_seq, event.*
    from (select app.current_user_id() as user_id) caller
    left join app.approval_sequences sequence on sequence.user_id = caller.user_id
    left join lateral (
      select page.*, sum(page.bytes) over (order by page.seq) - page.bytes as bytes_before
      from (
        select a.event_seq as seq, octet_length(a.payload::text) + coalesce(octet_length(a.arguments::text), 0) as bytes, a.*
        from app.approvals a
        where a.user_id = caller.user_id and a.event_seq > ${after} and a.deletion_id is null
        order by a.event_seq
        limit ${MAX_PAGE_EVENTS}
      ) page
    ) event on event.bytes_before < ${MAX_PAGE_BYTES}
    order by event.seq
  `.execute(db)
  return toEventPage(rows)
}

async function readOrganizations(
  db: Database,
  organizationId: string,
  after: number,
): Promise<EventPage<Approval>> {
  const { rows } = await sql<EventRow>`
    select caller.user_id as reader_id, coalesce(sequence.last_seq, 0) as last_seq, event.*
    from (select app.current_user_id() as user_id) caller
    left join app.organization_approval_sequences sequence on sequence.organization_id = ${organizationId}
    left join lateral (
      select page.*, sum(page.bytes) over (order by page.seq) - page.bytes as bytes_before
      from (
        select a.organization_event_seq as seq,
          octet_length(a.payload::text) + coalesce(octet_length(a.arguments::text), 0) as bytes, a.*
        from app.approvals a
        where a.organization_id = ${organizationId} and a.organization_event_seq > ${after} and a.deletion_id is null
        order by a.organization_event_seq
        limit ${MAX_PAGE_EVENTS}
      ) page
    ) event on event.bytes_before < ${MAX_PAGE_BYTES}
    order by event.seq
  `.execute(db)
  return toEventPage(rows)
}

function toEventPage(rows: readonly EventRow[]): EventPage<Approval> {
  const [first] = rows
  if (!first) throw new Error('the stream query returned no row for its reader')
  const events = rows.flatMap(row => (row.seq === null ? [] : [{ seq: row.seq, data: toApproval(row) }]))
  return { userId: first.readerId, readerId: first.readerId, events, lastSeq: first.lastSeq, isOver: false }
}
