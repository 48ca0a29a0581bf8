import { accountRouter } from './account/router.ts'
import { aiProvidersRouter } from './ai-providers/router.ts'
import { apiTokensRouter } from './api-tokens/router.ts'
import { approvalsRouter } from './approvals/router.ts'
import { connectionsRouter } from './connections/router.ts'
import { connectorsRouter } from './connectors/router.ts'
import { contentRouter } from './content/router.ts'
import { eventsRouter } from './events/router.ts'
import { keysRouter } from './keys/router.ts'
import { mediaRouter } from './media/router.ts'
import { organizationsRouter } from './organizations/router.ts'
import { runsRouter } from './runs/router.ts'
import { settingsRouter } from './settings/router.ts'
import { tasksRouter } from './tasks/router.ts'
import { toolsRouter } from './tools/router.ts'
import { router } from './trpc.ts'
import { usageRouter } from './usage/router.ts'

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
