// The rules that a form or a button needs before a call: the server's input schemas, and the tables of what a
// row's status and a member's role allow. Contains only zod and plain data.

export * as account from '#server/rooms/account/schema.ts'
export * as aiProviders from '#server/rooms/ai-providers/schema.ts'
export * as apiTokens from '#server/rooms/api-tokens/schema.ts'
export * as approvals from '#server/rooms/approvals/schema.ts'
export {
  APPROVAL_STATUSES,
  APPROVAL_TRANSITIONS,
  type ApprovalAction,
  type ApprovalStatus,
  isApprovalActionAllowed,
  PRIORITIES,
  type Priority,
} from '#server/rooms/approvals/state.ts'
export * as connections from '#server/rooms/connections/schema.ts'
export * as connectors from '#server/rooms/connectors/schema.ts'
export * as content from '#server/rooms/content/schema.ts'
export {
  CONTENT_STATUSES,
  CONTENT_TRANSITIONS,
  type ContentAction,
  type ContentStatus,
  isContentActionAllowed,
} from '#server/rooms/content/state.ts'
export * as events from '#server/rooms/events/schema.ts'
export { EVENT_STATUSES, EVENT_TRANSITIONS, type EventStatus } from '#server/rooms/events/state.ts'
export * as keys from '#server/rooms/keys/schema.ts'
export * as media from '#server/rooms/media/schema.ts'
export {
  isMediaActionAllowed,
  MEDIA_STATUSES,
  MEDIA_TRANSITIONS,
  type MediaAction,
  type MediaStatus,
} from '#server/rooms/media/state.ts'
export * as organizations from '#server/rooms/organizations/schema.ts'
export {
  isRoleAllowed,
  type OrganizationAction,
  ROLE_PERMISSIONS,
  ROLES,
  type Role,
} from '#server/rooms/organizations/state.ts'
export * as settings from '#server/rooms/settings/schema.ts'
export * as tasks from '#server/rooms/tasks/schema.ts'
export {
  isTaskActionAllowed,
  TASK_STATUSES,
  TASK_TRANSITIONS,
  type TaskAction,
  type TaskStatus,
} from '#server/rooms/tasks/state.ts'
export { SCOPES, type Scope } from '#server/rpc/scopes.ts'
