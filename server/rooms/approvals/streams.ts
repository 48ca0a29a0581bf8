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
/** A page ends with the approval that passes this. */
const MAX_PAGE_BYTES = 256 * 1024

/** Whose approvals a stream is of: an organization's, or the caller's own where that is null. */
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
 * The approvals of an organization, or one's own: each as it is after its last change, under that change's number. Readers of the
 * same ones have the same right to them, whatever else their credentials allow. Never ends by itself.
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

/** Says that an approval changed, to all who may follow it. */
export function announceApproval(
  live: Live,
  { userId, organizationId }: { userId: string; organizationId: string | null },
): void {
  live.announce(topicOf(userId))
  if (organizationId !== null) live.announce(topicOf(organizationId))
}

/** Expires what is over, one after the other, and tells who follows it. */
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

/** One statement reads the last number and the approvals, so that both are of one moment. */
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
