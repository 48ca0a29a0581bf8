// What a caller may know and do about themselves: who they are, where they are signed in, a copy of all they own, and the end
// of it. Everything but `me` is for sessions, so that an API token can neither see sessions nor end the account it belongs to.
// Nothing here shows a password, a token or another member's mail address.
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
