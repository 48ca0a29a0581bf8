import { accountRouter } from '#server/rooms/account/router.ts'
import { aiProvidersRouter } from '#server/rooms/ai-providers/router.ts'
import { apiTokensRouter } from '#server/rooms/api-tokens/router.ts'
import { approvalsRouter } from '#server/rooms/approvals/router.ts'
import { connectionsRouter } from '#server/rooms/connections/router.ts'
import { connectorsRouter } from '#server/rooms/connectors/router.ts'
import { contentRouter } from '#server/rooms/content/router.ts'
import { eventsRouter } from '#server/rooms/events/router.ts'
import { keysRouter } from '#server/rooms/keys/router.ts'
import { mediaRouter } from '#server/rooms/media/router.ts'
import { organizationsRouter } from '#server/rooms/organizations/router.ts'
import { runsRouter } from '#server/rooms/runs/router.ts'
import { settingsRouter } from '#server/rooms/settings/router.ts'
import { tasksRouter } from '#server/rooms/tasks/router.ts'
import { toolsRouter } from '#server/rooms/tools/router.ts'
import { usageRouter } from '#server/rooms/usage/router.ts'
import { router } from './trpc.ts'

export const appRouter = router({
  account: accountRouter,
  apiTokens: apiTokensRouter,
  aiProviders: aiProvidersRouter,
  approvals: approvalsRouter,
  connections: connectionsRouter,
  connectors: connectorsRouter,
  content: contentRouter,
  keys: keysRouter,
  events: eventsRouter,
  media: mediaRouter,
  organizations: organizationsRouter,
  runs: runsRouter,
  settings: settingsRouter,
  tasks: tasksRouter,
  tools: toolsRouter,
  usage: usageRouter,
})

export type AppRouter = typeof appRouter
