// API tokens: credentials for programs, with scopes and perhaps an expiry and one organization. Only a
// session may create, list, rotate or revoke tokens, so a token can never create another one. A token is
// shown once, by the call that creates it.
import { procedure, router } from '#server/rpc/trpc.ts'
import { createToken, listTokens, revokeToken, rotateToken } from './queries.ts'
import * as schema from './schema.ts'

const signedIn = procedure('session')

export const apiTokensRouter = router({
  create: signedIn
    .input(schema.createToken)
    .output(schema.newToken)
    .mutation(({ ctx, input }) => createToken(ctx.db, input)),
  list: signedIn.output(schema.apiTokens).query(({ ctx }) => listTokens(ctx.db)),
  revoke: signedIn
    .input(schema.tokenId)
    .output(schema.apiToken)
    .mutation(({ ctx, input }) => revokeToken(ctx.db, input.id)),
  rotate: signedIn
    .input(schema.rotateToken)
    .output(schema.newToken)
    .mutation(({ ctx, input }) => rotateToken(ctx.db, input)),
})
