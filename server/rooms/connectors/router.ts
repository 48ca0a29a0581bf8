// Connectors: a user's MCP servers, which are local commands or remote URLs; `test` connects to one. Open to
// sessions, and to API tokens with connectors:read or connectors:write. Never returns the environment,
// headers or OAuth client, only which of them are set, and under which names. Workers read them with
// `tasks.secrets`, for tasks that name the connector.
import { procedure, router } from '#server/rpc/trpc.ts'
import { checkConnector } from './check.ts'
import { createConnector, getConnector, listConnectors, removeConnector, updateConnector } from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('connectors:read')
const write = procedure('connectors:write')

export const connectorsRouter = router({
  create: write
    .input(schema.createConnector)
    .output(schema.connector)
    .mutation(async ({ ctx, input }) => {
      const { userId } = await ctx.identity()
      const keyring = await ctx.services.sealingKeyring()
      return createConnector(ctx.db, { keyring, ownerId: userId }, input)
    }),
  list: read.output(schema.connectors).query(({ ctx }) => listConnectors(ctx.db, ctx.services.keyring)),
  get: read
    .input(schema.connectorId)
    .output(schema.connector)
    .query(({ ctx, input }) => getConnector(ctx.db, ctx.services.keyring, input.id)),
  update: write
    .input(schema.updateConnector)
    .output(schema.connector)
    .mutation(async ({ ctx, input }) => {
      const { userId } = await ctx.identity()
      const keyring = await ctx.services.sealingKeyring()
      return updateConnector(ctx.db, { keyring, ownerId: userId }, input)
    }),
  test: write
    .input(schema.connectorId)
    .output(schema.connectorCheck)
    .mutation(async ({ ctx, input }) => {
      const { db, services } = ctx
      return checkConnector(await ctx.identity(), { db, services, id: input.id })
    }),
  remove: write
    .input(schema.connectorId)
    .output(schema.connectorId)
    .mutation(({ ctx, input }) => removeConnector(ctx.db, input.id)),
})
