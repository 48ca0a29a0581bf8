// Keys of AI providers, one for each provider: stored sealed, shown by a hint. Open to sessions and to API
// tokens. Only `reveal`, which has a scope of its own, returns a key, and `tasks.secrets` to workers. A key
// that cannot be decrypted is listed as unreadable and can be set again.
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
