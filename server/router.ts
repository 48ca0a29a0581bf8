import { accountRouter } from './account/router.ts'
import { apiTokensRouter } from './api-tokens/router.ts'
import { settingsRouter } from './settings/router.ts'
import { tasksRouter } from './tasks/router.ts'
import { router } from './trpc.ts'
import { usageRouter } from './usage/router.ts'

export const appRouter = router({
  account: accountRouter,
  apiTokens: apiTokensRouter,
  settings: settingsRouter,
  tasks: tasksRouter,
  usage: usageRouter,
})

export type AppRouter = typeof appRouter
