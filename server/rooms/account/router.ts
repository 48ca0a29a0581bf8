// What callers can read and do about themselves: their identity, their sessions, an export of their data, and
// the removal of their account. All except `me` requires a session, so an API token can neither list sessions
// nor remove the account. Never returns a password, a token or another member's mail address.
import { procedure, router } from '#server/rpc/trpc.ts'
import { createExportUrl } from './export.ts'
import { getAccount, listSessions, revokeOtherSessions, revokeSession } from './queries.ts'
import { removeAccount } from './removal.ts'
import * as schema from './schema.ts'

const signedIn = procedure('session')

export const accountRouter = router({
  me: procedure('any+lease')
    .output(schema.account)
    .query(({ ctx }) => getAccount(ctx.db)),

  sessions: signedIn.output(schema.sessions).query(({ ctx }) => listSessions(ctx.db)),

  revokeSession: procedure('session')
    .input(schema.sessionId)
    .output(schema.revoked)
    .mutation(({ ctx, input }) => revokeSession(ctx.db, input.id)),

  revokeOtherSessions: signedIn.output(schema.revoked).mutation(({ ctx }) => revokeOtherSessions(ctx.db)),

  export: signedIn
    .output(schema.exportUrl)
    .mutation(async ({ ctx }) => createExportUrl(await ctx.identity(), ctx)),

  remove: procedure('session')
    .input(schema.removeAccount)
    .output(schema.removedUser)
    .mutation(async ({ ctx, input }) =>
      removeAccount(await ctx.identity(), { db: ctx.db, services: ctx.services, password: input.password }),
    ),
})
