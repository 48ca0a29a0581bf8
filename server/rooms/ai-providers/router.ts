// An organization's AI providers: the URL of its models, the credentials for them, and which provider is the
// default. Members can see them; owners and admins write. A call uses the organization in which it acts: the
// one in its header, the session's active one, or the one that an API token is bound to. Credentials are
// stored sealed and never returned.
import { notFound } from '#server/rpc/errors.ts'
import { procedure, router } from '#server/rpc/trpc.ts'
import {
  createAiProvider,
  listAiProviders,
  removeAiProvider,
  requireOrganization,
  requireWriter,
  setDefaultAiProvider,
  updateAiProvider,
} from './queries.ts'
import * as schema from './schema.ts'

const read = procedure('ai-providers:read')
const write = procedure('ai-providers:write')

export const aiProvidersRouter = router({
  create: write
    .input(schema.createAiProvider)
    .output(schema.aiProvider)
    .mutation(async ({ ctx, input }) => {
      const organization = requireOrganization(await ctx.identity())
      requireWriter({ organization })
      const keyring = await ctx.services.sealingKeyring()
      return createAiProvider(ctx.db, { keyring, ownerId: organization.id }, input)
    }),
  list: read.output(schema.aiProviders).query(({ ctx }) => listAiProviders(ctx.db, ctx.services.keyring)),
  update: write
    .input(schema.updateAiProvider)
    .output(schema.aiProvider)
    .mutation(async ({ ctx, input }) => {
      const { organization } = await ctx.identity()
      // A caller without an organization has no such provider.
      if (!organization) throw notFound('AI provider')
      requireWriter({ organization })
      const keyring = await ctx.services.sealingKeyring()
      return updateAiProvider(ctx.db, { keyring, ownerId: organization.id }, input)
    }),
  setDefault: write
    .input(schema.aiProviderId)
    .output(schema.aiProviderId)
    .mutation(async ({ ctx, input }) => {
      requireWriter(await ctx.identity())
      return setDefaultAiProvider(ctx.db, input.id)
    }),
  remove: write
    .input(schema.aiProviderId)
    .output(schema.aiProviderId)
    .mutation(async ({ ctx, input }) => {
      requireWriter(await ctx.identity())
      return removeAiProvider(ctx.db, input.id)
    }),
})
