import { sql } from 'kysely'
import { namesIn } from '#server/db/column-schemas.ts'
import type { Database } from '#server/db/database.ts'
import { type Page, toPage } from '#server/db/pagination.ts'
import { AppError, notFound } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'
import { type EventSummary, eventSummary, type ListEvents, type WebhookEvent } from './schema.ts'
import { EVENT_TRANSITIONS } from './state.ts'

const COLUMNS = namesIn(eventSummary)

/**
 * The eraser deletes the events of a removed connection in batches; this condition hides the rest at once.
 */
const isConnected = sql<boolean>`exists (
  select from app.connections c where c.user_id = app.webhook_events.user_id and c.id = app.webhook_events.connection_id
)`

/** Returns a page of events without their payloads, newest first. */
export async function listEvents(db: Database, input: ListEvents): Promise<Page<EventSummary>> {
  let query = db
    .selectFrom('app.webhookEvents')
    .select(COLUMNS)
    .where(isConnected)
    .orderBy('id', 'desc')
    .limit(input.limit + 1)
  if (input.provider) query = query.where('provider', '=', input.provider)
  if (input.status) query = query.where('status', '=', input.status)
  if (input.cursor) query = query.where('id', '<', input.cursor)
  const rows = await query.execute()
  return toPage(rows, input.limit, event => event.id)
}

export async function getEvent(db: Database, id: string): Promise<WebhookEvent> {
  const row = await db
    .selectFrom('app.webhookEvents')
    .select([...COLUMNS, 'payload'])
    .where('id', '=', id)
    .where(isConnected)
    .executeTakeFirst()
  if (!row) throw notFound('event')
  return { ...row, payload: row.payload as Json }
}

/** Queues a failed or dead event again, with its attempts reset. */
export async function replayEvent(db: Database, id: string): Promise<EventSummary> {
  const { from, to } = EVENT_TRANSITIONS.replay
  const row = await db
    .updateTable('app.webhookEvents')
    .set({ status: to })
    .where('id', '=', id)
    .where('status', 'in', from)
    .where(isConnected)
    .returning(COLUMNS)
    .executeTakeFirst()
  if (row) return row
  const { status } = await getEvent(db, id)
  throw new AppError('illegal_transition', `cannot replay event "${id}": it is ${status}`)
}
