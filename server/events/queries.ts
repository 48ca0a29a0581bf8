import { type Selectable, sql } from 'kysely'
import type { ProviderName } from '../connections/schema.ts'
import type { Database } from '../db/database.ts'
import { type Page, toPage } from '../db/pagination.ts'
import type { AppWebhookEvents } from '../db/types.ts'
import { AppError, notFound } from '../errors.ts'
import type { Json } from '../inputs.ts'
import type { ListEvents } from './schema.ts'
import { EVENT_TRANSITIONS, type EventStatus } from './state.ts'

const COLUMNS = [
  'id',
  'connectionId',
  'provider',
  'eventType',
  'status',
  'attempts',
  'nextAttemptAt',
  'lastError',
  'processedAt',
  'createdAt',
  'updatedAt',
] as const

type EventRow = Pick<Selectable<AppWebhookEvents>, (typeof COLUMNS)[number]>

/** An event without what the provider sent, which may be a megabyte. */
export interface EventSummary extends Omit<EventRow, 'provider' | 'status'> {
  provider: ProviderName
  status: EventStatus
}

export interface WebhookEvent extends EventSummary {
  payload: Json
}

/** Events of a connection that is removed are deleted in batches, and are gone for their owner before that. */
const isConnected = sql<boolean>`exists (
  select from app.connections c where c.user_id = app.webhook_events.user_id and c.id = app.webhook_events.connection_id
)`

/** A page of events without their payloads, newest first. */
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
  return toPage(rows.map(toSummary), input.limit, event => event.id)
}

export async function getEvent(db: Database, id: string): Promise<WebhookEvent> {
  const row = await db
    .selectFrom('app.webhookEvents')
    .select([...COLUMNS, 'payload'])
    .where('id', '=', id)
    .where(isConnected)
    .executeTakeFirst()
  if (!row) throw notFound('event')
  return { ...toSummary(row), payload: row.payload as Json }
}

/** Lets an event that failed, or died of it, be processed from its first attempt on. */
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
  if (row) return toSummary(row)
  const { status } = await getEvent(db, id)
  throw new AppError('illegal_transition', `event "${id}" is ${status}: it takes no replay`)
}

function toSummary(row: EventRow): EventSummary {
  return { ...row, provider: row.provider as ProviderName, status: row.status as EventStatus }
}
