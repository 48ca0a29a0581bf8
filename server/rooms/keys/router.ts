// Keys of AI providers, one a provider: stored sealed, shown by their hint. For sessions and for API tokens; a key itself is
// given out by `reveal` alone, whose scope is one of its own, and to workers by `tasks.secrets`. A key that does not open any more
// is listed as unreadable and can be set again.
import { procedure, router } from '#server/rpc/trpc.ts'
import { listKeys, removeKey, revealKey, setKey } from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('keys:read')
const write = procedure('keys:write')
const reveal = procedure('keys:reveal')

export const keysRouter = router({
  set: write
    .input(schema.setKey)
    .output(schema.storedKey)
    .mutation(async ({ ctx, input }) => {
      const { userId } = await ctx.identity()
      return setKey(ctx.db, { keyring: await ctx.services.sealingKeyring(), ownerId: userId }, input)
    }),
  list: read.output(schema.providerKeys).query(({ ctx }) => listKeys(ctx.db, ctx.services.keyring)),
  remove: write
    .input(schema.keyProvider)
    .output(schema.keyProvider)
    .mutation(({ ctx, input }) => removeKey(ctx.db, input.provider)),
  reveal: reveal
    .input(schema.keyProvider)
    .output(schema.keyValue)
    .mutation(({ ctx, input }) => revealKey(ctx.db, ctx.services.keyring, input.provider)),
})
