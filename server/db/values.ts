// Written by `npm run db:generate` from the catalog: the only values that a column may have, by its check. Imports nothing, so that
// a browser's bundle holds what it uses.

/** app.agent_runs.status */
export const AGENT_RUN_STATUS = ['queued', 'running', 'waiting', 'completed', 'failed', 'cancelled'] as const
/** app.approvals.requested_by */
export const APPROVAL_REQUESTED_BY = ['session', 'token', 'lease'] as const
/** app.approvals.status */
export const APPROVAL_STATUS = ['pending', 'approved', 'rejected', 'expired', 'cancelled'] as const
/** app.connection_provider */
export const CONNECTION_PROVIDER = ['notion', 'github', 'slack', 'linear'] as const
/** app.connections.status */
export const CONNECTION_STATUS = ['active', 'revoked', 'error'] as const
/** app.connectors.kind */
export const CONNECTOR_KIND = ['local', 'remote'] as const
/** app.connectors.status */
export const CONNECTOR_STATUS = ['connected', 'disconnected'] as const
/** app.content.content_type */
export const CONTENT_CONTENT_TYPE = ['video', 'audio', 'written'] as const
/** app.content.status */
export const CONTENT_STATUS = ['draft', 'published', 'archived'] as const
/** app.media_items.media_type */
export const MEDIA_ITEM_MEDIA_TYPE = ['video', 'audio', 'image', 'document'] as const
/** app.media_items.status */
export const MEDIA_ITEM_STATUS = ['uploading', 'uploaded', 'processing', 'ready', 'failed'] as const
/** app.provider_keys.provider */
export const PROVIDER_KEY_PROVIDER = ['anthropic', 'openai', 'cursor', 'gemini', 'aigateway'] as const
/** app.task_events.kind */
export const TASK_EVENT_KIND = ['message', 'delta', 'finished'] as const
/** app.task_keys.provider */
export const TASK_KEY_PROVIDER = ['anthropic', 'openai', 'cursor', 'gemini', 'aigateway'] as const
/** app.task_logs.type */
export const TASK_LOG_TYPE = ['info', 'command', 'error', 'success'] as const
/** app.task_messages.role */
export const TASK_MESSAGE_ROLE = ['user', 'agent'] as const
/** app.task_messages.status */
export const TASK_MESSAGE_STATUS = ['streaming', 'complete', 'failed'] as const
/** app.tasks.status */
export const TASK_STATUS = ['pending', 'processing', 'completed', 'error', 'stopped'] as const
/** app.tasks.pr_status */
export const TASK_PR_STATUS = ['open', 'closed', 'merged'] as const
/** app.tool_calls.status */
export const TOOL_CALL_STATUS = ['pending', 'awaiting_approval', 'running', 'succeeded', 'failed', 'denied'] as const
/** app.tools.category */
export const TOOL_CATEGORY = ['files', 'shell', 'code', 'web', 'messaging', 'project'] as const
/** app.webhook_events.effect */
export const WEBHOOK_EVENT_EFFECT = ['revoke', 'suspend', 'unsuspend'] as const
/** app.webhook_events.status */
export const WEBHOOK_EVENT_STATUS = ['received', 'processing', 'processed', 'failed', 'dead'] as const
/** auth.invitations.role */
export const INVITATION_ROLE = ['owner', 'admin', 'member'] as const
/** auth.invitations.status */
export const INVITATION_STATUS = ['pending', 'accepted', 'rejected', 'canceled'] as const
/** auth.members.role */
export const MEMBER_ROLE = ['owner', 'admin', 'member'] as const
