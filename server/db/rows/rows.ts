import { apiTokens, dailyUsage, settings } from './account.ts'
import { agentRuns, toolCalls, tools, userTools } from './agents.ts'
import { approvalSequences, approvals, organizationApprovalSequences } from './approvals.ts'
import {
  accounts,
  invitations,
  members,
  organizations,
  sessions,
  trustedDevices,
  twoFactors,
  users,
  verifications,
} from './auth.ts'
import { connections, oauthStates, webhookDeliveries, webhookEvents } from './connections.ts'
import { content, fileRemovals, mediaItems } from './content.ts'
import { aiProviderConfigs, connectors, providerKeys } from './secrets.ts'
import { erasures, heldPlaces, keyringChecks, rateLimits } from './server.ts'
import {
  taskConnectors,
  taskEvents,
  taskKeys,
  taskLeases,
  taskLogs,
  taskMessageDeltas,
  taskMessages,
  tasks,
} from './tasks.ts'

/** The row schemas of every table, by the name that statements use. */
export const rows = {
  'app.agentRuns': agentRuns,
  'app.aiProviderConfigs': aiProviderConfigs,
  'app.apiTokens': apiTokens,
  'app.approvals': approvals,
  'app.approvalSequences': approvalSequences,
  'app.connections': connections,
  'app.connectors': connectors,
  'app.content': content,
  'app.dailyUsage': dailyUsage,
  'app.erasures': erasures,
  'app.fileRemovals': fileRemovals,
  'app.heldPlaces': heldPlaces,
  'app.keyringChecks': keyringChecks,
  'app.mediaItems': mediaItems,
  'app.oauthStates': oauthStates,
  'app.organizationApprovalSequences': organizationApprovalSequences,
  'app.providerKeys': providerKeys,
  'app.rateLimits': rateLimits,
  'app.settings': settings,
  'app.taskConnectors': taskConnectors,
  'app.taskEvents': taskEvents,
  'app.taskKeys': taskKeys,
  'app.taskLeases': taskLeases,
  'app.taskLogs': taskLogs,
  'app.taskMessageDeltas': taskMessageDeltas,
  'app.taskMessages': taskMessages,
  'app.tasks': tasks,
  'app.toolCalls': toolCalls,
  'app.tools': tools,
  'app.userTools': userTools,
  'app.webhookDeliveries': webhookDeliveries,
  'app.webhookEvents': webhookEvents,
  'auth.accounts': accounts,
  'auth.invitations': invitations,
  'auth.members': members,
  'auth.organizations': organizations,
  'auth.sessions': sessions,
  'auth.trustedDevices': trustedDevices,
  'auth.twoFactors': twoFactors,
  'auth.users': users,
  'auth.verifications': verifications,
}
