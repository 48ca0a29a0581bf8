// What the caller has used of today's quotas. For sessions and for any API token, not for leases; nobody can change it.
import { procedure, router } from '#server/rpc/trpc.ts'
import { getUsageToday } from './queries.ts'
import * as schema from './schema.ts'

export const usageRouter = router({
  today: procedure('any')
    .output(schema.usageToday)
    .query(({ ctx }) => getUsageToday(ctx.db, ctx.services.quotas)),
})
