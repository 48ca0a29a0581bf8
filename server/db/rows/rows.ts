import * as app from './app.ts'
import * as auth from './auth.ts'

/** The row schemas of every table, by the name that statements use. */
export const rows = {
  'app.agentRuns': app.agentRuns,
  'app.apiTokens': app.apiTokens,
  'app.dailyUsage': app.dailyUsage,
  'app.keyringChecks': app.keyringChecks,
  'app.rateLimits': app.rateLimits,
  'app.settings': app.settings,
  'app.taskEvents': app.taskEvents,
  'app.taskLeases': app.taskLeases,
  'app.taskLogs': app.taskLogs,
  'app.taskMessageDeltas': app.taskMessageDeltas,
  'app.taskMessages': app.taskMessages,
  'app.tasks': app.tasks,
  'app.toolCalls': app.toolCalls,
  'app.tools': app.tools,
  'app.userTools': app.userTools,
  'auth.accounts': auth.accounts,
  'auth.invitations': auth.invitations,
  'auth.members': auth.members,
  'auth.organizations': auth.organizations,
  'auth.sessions': auth.sessions,
  'auth.twoFactors': auth.twoFactors,
  'auth.users': auth.users,
  'auth.verifications': auth.verifications,
}
