// The caller's usage of today's quotas. Open to sessions and to every API token, but not to leases.
// Read-only.
import { procedure, router } from '#server/rpc/trpc.ts'
import { getUsageToday } from './queries.ts'
import * as schema from './schema.ts'

export const usageRouter = router({
  today: procedure('any')
    .output(schema.usageToday)
    .query(({ ctx }) => getUsageToday(ctx.db, ctx.services.quotas)),
})
