// Events: webhook deliveries of Notion, GitHub, Slack and Linear about a user's connections. Each was
// received at /webhooks/:provider, verified, and stored for every user with a matching connection; processing
// it applies its effect to the connection. Open to sessions, and to API tokens with events:read or
// events:write. No procedure creates an event; a failed one can be replayed.
import { procedure, router } from '#server/rpc/trpc.ts'
import { getEvent, listEvents, replayEvent } from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('events:read')
const write = procedure('events:write')

export const eventsRouter = router({
  list: read
    .input(schema.listEvents.prefault({}))
    .output(schema.eventPage)
    .query(({ ctx, input }) => listEvents(ctx.db, input)),
  get: read
    .input(schema.eventId)
    .output(schema.event)
    .query(({ ctx, input }) => getEvent(ctx.db, input.id)),
  replay: write
    .input(schema.eventId)
    .output(schema.eventSummary)
    .mutation(({ ctx, input }) => replayEvent(ctx.db, input.id)),
})
