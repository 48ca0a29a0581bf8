// What a form or a button needs to know before it calls: the input schemas that the server holds callers to, and the tables of
// what a row's status and a member's role allow. Zod and plain data only.

export * as account from '#server/account/schema.ts'
export * as aiProviders from '#server/ai-providers/schema.ts'
export * as apiTokens from '#server/api-tokens/schema.ts'
export * as approvals from '#server/approvals/schema.ts'
export {
  APPROVAL_STATUSES,
  APPROVAL_TRANSITIONS,
  type ApprovalAction,
  type ApprovalStatus,
  isApprovalActionAllowed,
  PRIORITIES,
  type Priority,
} from '#server/approvals/state.ts'
export * as connections from '#server/connections/schema.ts'
export * as connectors from '#server/connectors/schema.ts'
export * as content from '#server/content/schema.ts'
export {
  CONTENT_STATUSES,
  CONTENT_TRANSITIONS,
  type ContentAction,
  type ContentStatus,
  isContentActionAllowed,
} from '#server/content/state.ts'
export * as events from '#server/events/schema.ts'
export { EVENT_STATUSES, EVENT_TRANSITIONS, type EventStatus } from '#server/events/state.ts'
export * as keys from '#server/keys/schema.ts'
export * as media from '#server/media/schema.ts'
export {
  isMediaActionAllowed,
  MEDIA_STATUSES,
  MEDIA_TRANSITIONS,
  type MediaAction,
  type MediaStatus,
} from '#server/media/state.ts'
export * as organizations from '#server/organizations/schema.ts'
export {
  isRoleAllowed,
  type OrganizationAction,
  ROLE_PERMISSIONS,
  ROLES,
  type Role,
} from '#server/organizations/state.ts'
export { SCOPES, type Scope } from '#server/scopes.ts'
export * as settings from '#server/settings/schema.ts'
export * as tasks from '#server/tasks/schema.ts'
export {
  isTaskActionAllowed,
  TASK_STATUSES,
  TASK_TRANSITIONS,
  type TaskAction,
  type TaskStatus,
} from '#server/tasks/state.ts'
