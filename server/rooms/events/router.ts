// Events: what Notion, GitHub, Slack and Linear told of a user's connections. Each was delivered to /webhooks/:provider, verified,
// and given to everyone who is connected there; processing notes it and does to the connection what it tells of. For sessions and
// for API tokens with events:read or events:write. Nobody makes an event here; one that failed can be replayed.
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
