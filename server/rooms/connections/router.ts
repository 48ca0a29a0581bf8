// Users' accounts at Notion, GitHub, Slack and Linear: connect, read and disconnect them. Open to sessions,
// and to API tokens with connections:read or connections:write; a flow requires the session cookie of the
// browser that finishes it. Never returns a provider's token. Each procedure that calls a provider may
// refresh the connection's token, or mark it revoked.
import { procedure, router } from '#server/rpc/trpc.ts'
import { writerOf } from './call-context.ts'
import { authorize, listOwn, listProviders } from './flow.ts'
import { disconnect } from './leaving.ts'
import { listRepositories } from './providers/github.ts'
import { listTeams } from './providers/linear.ts'
import { getDatabase, listDatabases } from './providers/notion.ts'
import { listChannels } from './providers/slack.ts'
import { addSettings } from './queries.ts'
import * as schema from './schema.ts'
import { orNotFound, useConnection } from './use.ts'

const read = procedure('connections:read')
const write = procedure('connections:write')
const signedIn = procedure('session')

export const connectionsRouter = router({
  providers: read
    .output(schema.providers)
    .query(async ({ ctx }) => listProviders(await ctx.identity(), ctx.services)),
  list: read.output(schema.connections).query(({ ctx }) => listOwn(ctx)),
  authorize: signedIn
    .input(schema.authorize)
    .output(schema.consent)
    .mutation(({ ctx, input }) => authorize(ctx, input)),
  disconnect: write
    .input(schema.connectionId)
    .output(schema.connectionId)
    .mutation(({ ctx, input }) => disconnect(ctx, input.id)),
  notion: router({
    databases: read
      .input(schema.searchDatabases)
      .output(schema.notionDatabases)
      .query(({ ctx, input }) =>
        useConnection(ctx, { id: input.connectionId, provider: 'notion' }, (identity, app, { accessToken }) =>
          listDatabases(identity, app, { accessToken, search: input.search }),
        ),
      ),
    selectDatabase: write
      .input(schema.selectDatabase)
      .output(schema.selectedDatabase)
      .mutation(async ({ ctx, input }) => {
        const { id, name } = await useConnection(
          ctx,
          { id: input.connectionId, provider: 'notion' },
          (identity, app, { accessToken }) =>
            getDatabase(identity, app, {
              accessToken,
              databaseId: input.databaseId,
            }).catch(orNotFound('database', 'object_not_found')),
        )
        await addSettings(writerOf(ctx), input.connectionId, { databaseId: id, databaseName: name })
        return { databaseId: id, databaseName: name }
      }),
  }),
  github: router({
    repositories: read
      .input(schema.onConnection)
      .output(schema.gitHubRepositories)
      .query(({ ctx, input }) =>
        useConnection(ctx, { id: input.connectionId, provider: 'github' }, listRepositories),
      ),
  }),
  slack: router({
    channels: read
      .input(schema.onConnection)
      .output(schema.slackChannels)
      .query(({ ctx, input }) =>
        useConnection(ctx, { id: input.connectionId, provider: 'slack' }, listChannels),
      ),
  }),
  linear: router({
    teams: read
      .input(schema.onConnection)
      .output(schema.linearTeams)
      .query(({ ctx, input }) =>
        useConnection(ctx, { id: input.connectionId, provider: 'linear' }, listTeams),
      ),
  }),
})
