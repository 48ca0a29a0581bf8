// Written by `npm run db:generate` from the catalog: the rows of every table, as they are read, inserted and updated.
import type { Insertable, Selectable, Updateable } from 'kysely'
import * as c from './column-schemas.ts'
import type { DB } from './types.ts'
import * as v from './values.ts'

const columnsOfAgentRun = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.nullable(c.uuid),
  agent: /*#__PURE__*/ c.required(c.text()),
  model: /*#__PURE__*/ c.nullable(c.text()),
  provider: /*#__PURE__*/ c.nullable(c.text()),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.AGENT_RUN_STATUS)),
  input: /*#__PURE__*/ c.nullable(c.json),
  output: /*#__PURE__*/ c.nullable(c.json),
  usage: /*#__PURE__*/ c.nullable(c.json),
  error: /*#__PURE__*/ c.nullable(c.text()),
  startedAt: /*#__PURE__*/ c.nullable(c.instant),
  finishedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** One run of an agent: what it was given, what came out, what it cost. */
export type AgentRun = Selectable<DB['app.agentRuns']>
export type NewAgentRun = Insertable<DB['app.agentRuns']>
export type AgentRunUpdate = Updateable<DB['app.agentRuns']>
export const selectAgentRun = /*#__PURE__*/ c.selectRow(columnsOfAgentRun)
export const insertAgentRun = /*#__PURE__*/ c.insertRow(columnsOfAgentRun)
export const updateAgentRun = /*#__PURE__*/ insertAgentRun.partial()

const columnsOfAiProviderConfig = {
  organizationId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  name: /*#__PURE__*/ c.required(c.text()),
  provider: /*#__PURE__*/ c.required(c.text()),
  baseUrl: /*#__PURE__*/ c.nullable(c.text()),
  model: /*#__PURE__*/ c.required(c.text()),
  credentials: /*#__PURE__*/ c.nullable(c.envelope),
  /** The last characters of the credentials. */
  hint: /*#__PURE__*/ c.defaulted(c.text()),
  isDefault: /*#__PURE__*/ c.defaulted(c.boolean),
  limits: /*#__PURE__*/ c.defaulted(c.json),
  /** Set while the organization is removed. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** An organization's model providers, and how they are called. */
export type AiProviderConfig = Selectable<DB['app.aiProviderConfigs']>
export type NewAiProviderConfig = Insertable<DB['app.aiProviderConfigs']>
export type AiProviderConfigUpdate = Updateable<DB['app.aiProviderConfigs']>
export const selectAiProviderConfig = /*#__PURE__*/ c.selectRow(columnsOfAiProviderConfig)
export const insertAiProviderConfig = /*#__PURE__*/ c.insertRow(columnsOfAiProviderConfig)
export const updateAiProviderConfig = /*#__PURE__*/ insertAiProviderConfig.partial()

const columnsOfApiToken = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.nullable(c.uuid),
  name: /*#__PURE__*/ c.required(c.text({ min: 1, max: 100 })),
  prefix: /*#__PURE__*/ c.required(c.text()),
  tokenHash: /*#__PURE__*/ c.required(c.bytes),
  scopes: /*#__PURE__*/ c.required(c.arrayOf(c.text())),
  expiresAt: /*#__PURE__*/ c.nullable(c.instant),
  lastUsedAt: /*#__PURE__*/ c.nullable(c.instant),
  revokedAt: /*#__PURE__*/ c.nullable(c.instant),
  replacedBy: /*#__PURE__*/ c.nullable(c.uuid),
  /** Set when the token was rotated: it is refused from then on. */
  graceUntil: /*#__PURE__*/ c.nullable(c.instant),
  /** Set while the organization that the token is bound to is removed: it is refused until that is restored. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Credentials for programs: shown once, stored as a hash of a hash, with scopes of their own. */
export type ApiToken = Selectable<DB['app.apiTokens']>
export type NewApiToken = Insertable<DB['app.apiTokens']>
export type ApiTokenUpdate = Updateable<DB['app.apiTokens']>
export const selectApiToken = /*#__PURE__*/ c.selectRow(columnsOfApiToken)
export const insertApiToken = /*#__PURE__*/ c.insertRow(columnsOfApiToken)
export const updateApiToken = /*#__PURE__*/ insertApiToken.partial()

const columnsOfApprovalSequence = {
  userId: /*#__PURE__*/ c.required(c.uuid),
  lastSeq: /*#__PURE__*/ c.required(c.integer()),
}
/** The last number given to a change of a user's approvals. */
export type ApprovalSequence = Selectable<DB['app.approvalSequences']>
export type NewApprovalSequence = Insertable<DB['app.approvalSequences']>
export type ApprovalSequenceUpdate = Updateable<DB['app.approvalSequences']>
export const selectApprovalSequence = /*#__PURE__*/ c.selectRow(columnsOfApprovalSequence)
export const insertApprovalSequence = /*#__PURE__*/ c.insertRow(columnsOfApprovalSequence)
export const updateApprovalSequence = /*#__PURE__*/ insertApprovalSequence.partial()

const columnsOfApproval = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.nullable(c.uuid),
  taskId: /*#__PURE__*/ c.nullable(c.uuid),
  toolCallId: /*#__PURE__*/ c.nullable(c.uuid),
  kind: /*#__PURE__*/ c.required(c.text()),
  title: /*#__PURE__*/ c.required(c.text()),
  payload: /*#__PURE__*/ c.required(c.json),
  /** The tool of the call, as it was when approval was requested; with its arguments, what is approved. */
  tool: /*#__PURE__*/ c.nullable(c.text()),
  arguments: /*#__PURE__*/ c.nullable(c.json),
  /** Of the tool call's arguments, or of the payload where there is no call. */
  payloadHash: /*#__PURE__*/ c.required(c.bytes),
  priority: /*#__PURE__*/ c.defaulted(c.integer({ min: 0, max: 3 })),
  /** By which kind of credential of the requester's. */
  requestedBy: /*#__PURE__*/ c.required(c.oneOf(v.APPROVAL_REQUESTED_BY)),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.APPROVAL_STATUS)),
  decidedBy: /*#__PURE__*/ c.nullable(c.uuid),
  /** When it stopped being pending, however that came. */
  decidedAt: /*#__PURE__*/ c.nullable(c.instant),
  note: /*#__PURE__*/ c.nullable(c.text()),
  expiresAt: /*#__PURE__*/ c.nullable(c.instant),
  /** The number of its last change in its requester's sequence. */
  eventSeq: /*#__PURE__*/ c.required(c.integer()),
  /** The number of its last change in its organization's sequence. */
  organizationEventSeq: /*#__PURE__*/ c.nullable(c.integer()),
  /** Set while its task or its organization is removed. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What somebody is asked to allow, and what they said. Written by functions only. */
export type Approval = Selectable<DB['app.approvals']>
export type NewApproval = Insertable<DB['app.approvals']>
export type ApprovalUpdate = Updateable<DB['app.approvals']>
export const selectApproval = /*#__PURE__*/ c.selectRow(columnsOfApproval)
export const insertApproval = /*#__PURE__*/ c.insertRow(columnsOfApproval)
export const updateApproval = /*#__PURE__*/ insertApproval.partial()

const columnsOfConnection = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.nullable(c.uuid),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.CONNECTION_PROVIDER)),
  /** The workspace, installation, team or organization as the provider names it; what its webhooks name. */
  externalId: /*#__PURE__*/ c.required(c.text({ min: 1, max: 200 })),
  name: /*#__PURE__*/ c.required(c.text()),
  icon: /*#__PURE__*/ c.nullable(c.text()),
  scopes: /*#__PURE__*/ c.defaulted(c.arrayOf(c.text())),
  /** Null once it is revoked. */
  accessToken: /*#__PURE__*/ c.nullable(c.envelope),
  refreshToken: /*#__PURE__*/ c.nullable(c.envelope),
  expiresAt: /*#__PURE__*/ c.nullable(c.instant),
  botId: /*#__PURE__*/ c.nullable(c.text()),
  settings: /*#__PURE__*/ c.defaulted(c.json),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.CONNECTION_STATUS)),
  /** Counts the tokens that were stored here; a sealed value changes with its key. */
  tokenVersion: /*#__PURE__*/ c.defaulted(c.integer()),
  /** Who may store the outcome of the refresh under way. New tokens end it. */
  refreshClaim: /*#__PURE__*/ c.nullable(c.uuid),
  refreshClaimedUntil: /*#__PURE__*/ c.nullable(c.instant),
  /** When its user last went through the provider's consent. */
  connectedAt: /*#__PURE__*/ c.defaulted(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** A user's accounts elsewhere, with the tokens that act for them there. */
export type Connection = Selectable<DB['app.connections']>
export type NewConnection = Insertable<DB['app.connections']>
export type ConnectionUpdate = Updateable<DB['app.connections']>
export const selectConnection = /*#__PURE__*/ c.selectRow(columnsOfConnection)
export const insertConnection = /*#__PURE__*/ c.insertRow(columnsOfConnection)
export const updateConnection = /*#__PURE__*/ insertConnection.partial()

const columnsOfConnector = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  name: /*#__PURE__*/ c.required(c.text()),
  kind: /*#__PURE__*/ c.required(c.oneOf(v.CONNECTOR_KIND)),
  command: /*#__PURE__*/ c.nullable(c.text()),
  args: /*#__PURE__*/ c.defaulted(c.arrayOf(c.text())),
  url: /*#__PURE__*/ c.nullable(c.text()),
  /** Variables for a command, as a sealed JSON object. */
  env: /*#__PURE__*/ c.nullable(c.envelope),
  /** Headers for an address, as a sealed JSON object. */
  headers: /*#__PURE__*/ c.nullable(c.envelope),
  oauthClientId: /*#__PURE__*/ c.nullable(c.envelope),
  oauthClientSecret: /*#__PURE__*/ c.nullable(c.envelope),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.CONNECTOR_STATUS)),
  lastCheckedAt: /*#__PURE__*/ c.nullable(c.instant),
  lastError: /*#__PURE__*/ c.nullable(c.text()),
  /** The tools that the server listed when it was last checked. */
  tools: /*#__PURE__*/ c.defaulted(c.json),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** A user's MCP servers: a command to run or an address to call. */
export type Connector = Selectable<DB['app.connectors']>
export type NewConnector = Insertable<DB['app.connectors']>
export type ConnectorUpdate = Updateable<DB['app.connectors']>
export const selectConnector = /*#__PURE__*/ c.selectRow(columnsOfConnector)
export const insertConnector = /*#__PURE__*/ c.insertRow(columnsOfConnector)
export const updateConnector = /*#__PURE__*/ insertConnector.partial()

const columnsOfContent = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  /** For whom it was made; its members read it. Null on the creator's own page. */
  organizationId: /*#__PURE__*/ c.nullable(c.uuid),
  mediaItemId: /*#__PURE__*/ c.nullable(c.uuid),
  title: /*#__PURE__*/ c.required(c.text()),
  slug: /*#__PURE__*/ c.required(c.text({ max: 100 })),
  description: /*#__PURE__*/ c.nullable(c.text()),
  body: /*#__PURE__*/ c.nullable(c.text()),
  contentType: /*#__PURE__*/ c.required(c.oneOf(v.CONTENT_CONTENT_TYPE)),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.CONTENT_STATUS)),
  publishedAt: /*#__PURE__*/ c.nullable(c.instant),
  tags: /*#__PURE__*/ c.defaulted(c.arrayOf(c.text())),
  deletedAt: /*#__PURE__*/ c.nullable(c.instant),
  /** Marks all rows that went with one deletion, so that restoring brings back exactly those. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What a creator writes and publishes: an article, or a video or a recording with its text. */
export type Content = Selectable<DB['app.content']>
export type NewContent = Insertable<DB['app.content']>
export type ContentUpdate = Updateable<DB['app.content']>
export const selectContent = /*#__PURE__*/ c.selectRow({
  ...columnsOfContent,
  search: /*#__PURE__*/ c.defaulted(c.text()),
})
export const insertContent = /*#__PURE__*/ c.insertRow(columnsOfContent)
export const updateContent = /*#__PURE__*/ insertContent.partial()

const columnsOfDailyUsage = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  day: /*#__PURE__*/ c.required(c.text()),
  tasks: /*#__PURE__*/ c.defaulted(c.integer()),
  messages: /*#__PURE__*/ c.defaulted(c.integer()),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What a user created on a day (UTC), counted against their quotas. */
export type DailyUsage = Selectable<DB['app.dailyUsage']>
export type NewDailyUsage = Insertable<DB['app.dailyUsage']>
export type DailyUsageUpdate = Updateable<DB['app.dailyUsage']>
export const selectDailyUsage = /*#__PURE__*/ c.selectRow(columnsOfDailyUsage)
export const insertDailyUsage = /*#__PURE__*/ c.insertRow(columnsOfDailyUsage)
export const updateDailyUsage = /*#__PURE__*/ insertDailyUsage.partial()

const columnsOfErasure = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  /** The table of the removed row. */
  parent: /*#__PURE__*/ c.required(c.text()),
  /** The columns of the removed row that dependent rows refer to, with their values. */
  key: /*#__PURE__*/ c.required(c.json),
  /** Set where the row may be restored: dependent rows are marked with it, or lose that mark, instead of being deleted. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  /** The step of app.erasure_steps at which the next batch begins; null for the first one. */
  step: /*#__PURE__*/ c.nullable(c.text()),
  /** The last row that this step deleted, by its place; null before its first batch. */
  position: /*#__PURE__*/ c.nullable(c.json),
  /** How many dependent rows were deleted or changed so far. */
  rowCount: /*#__PURE__*/ c.defaulted(c.integer()),
  /** When the next batch may run; later after a failure. */
  dueAt: /*#__PURE__*/ c.defaulted(c.instant),
  failureCount: /*#__PURE__*/ c.defaulted(c.integer()),
  lastError: /*#__PURE__*/ c.nullable(c.text()),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  finishedAt: /*#__PURE__*/ c.nullable(c.instant),
}
/** Removed rows whose dependent rows are deleted in batches, and how far that is. No login reads or writes it but through functions. */
export type Erasure = Selectable<DB['app.erasures']>
export type NewErasure = Insertable<DB['app.erasures']>
export type ErasureUpdate = Updateable<DB['app.erasures']>
export const selectErasure = /*#__PURE__*/ c.selectRow(columnsOfErasure)
export const insertErasure = /*#__PURE__*/ c.insertRow(columnsOfErasure)
export const updateErasure = /*#__PURE__*/ insertErasure.partial()

const columnsOfFileRemoval = {
  storageKey: /*#__PURE__*/ c.required(c.text()),
  /** When to remove the file; of one that is being removed, when its claim ends. */
  dueAt: /*#__PURE__*/ c.defaulted(c.instant),
  /** When to remove it once more; null after that. */
  repeatAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Files that nothing owns any more, until they are removed. No login reads or writes it but through functions. */
export type FileRemoval = Selectable<DB['app.fileRemovals']>
export type NewFileRemoval = Insertable<DB['app.fileRemovals']>
export type FileRemovalUpdate = Updateable<DB['app.fileRemovals']>
export const selectFileRemoval = /*#__PURE__*/ c.selectRow(columnsOfFileRemoval)
export const insertFileRemoval = /*#__PURE__*/ c.insertRow(columnsOfFileRemoval)
export const updateFileRemoval = /*#__PURE__*/ insertFileRemoval.partial()

const columnsOfHeldPlace = {
  /** The kind of what is held, and the user: "streams:<id>". */
  holder: /*#__PURE__*/ c.required(c.text()),
  processId: /*#__PURE__*/ c.required(c.uuid),
  count: /*#__PURE__*/ c.required(c.integer({ min: 1 })),
  /** When it counts no more unless the process announces it again. */
  expiresAt: /*#__PURE__*/ c.required(c.instant),
}
/** What users hold at a time, as each process announces it, by kind and user. No login reads or writes it but through app.hold_places. */
export type HeldPlace = Selectable<DB['app.heldPlaces']>
export type NewHeldPlace = Insertable<DB['app.heldPlaces']>
export type HeldPlaceUpdate = Updateable<DB['app.heldPlaces']>
export const selectHeldPlace = /*#__PURE__*/ c.selectRow(columnsOfHeldPlace)
export const insertHeldPlace = /*#__PURE__*/ c.insertRow(columnsOfHeldPlace)
export const updateHeldPlace = /*#__PURE__*/ insertHeldPlace.partial()

const columnsOfKeyringCheck = {
  keyId: /*#__PURE__*/ c.required(c.text()),
  value: /*#__PURE__*/ c.required(c.envelope),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** A known text sealed with each key in use. No login reads or writes it but through app.keep_keyring_check. */
export type KeyringCheck = Selectable<DB['app.keyringChecks']>
export type NewKeyringCheck = Insertable<DB['app.keyringChecks']>
export type KeyringCheckUpdate = Updateable<DB['app.keyringChecks']>
export const selectKeyringCheck = /*#__PURE__*/ c.selectRow(columnsOfKeyringCheck)
export const insertKeyringCheck = /*#__PURE__*/ c.insertRow(columnsOfKeyringCheck)
export const updateKeyringCheck = /*#__PURE__*/ insertKeyringCheck.partial()

const columnsOfMediaItem = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  title: /*#__PURE__*/ c.required(c.text()),
  description: /*#__PURE__*/ c.nullable(c.text()),
  mediaType: /*#__PURE__*/ c.required(c.oneOf(v.MEDIA_ITEM_MEDIA_TYPE)),
  mimeType: /*#__PURE__*/ c.required(c.text()),
  fileName: /*#__PURE__*/ c.required(c.text()),
  /** As announced, and held against what arrived. */
  fileSizeBytes: /*#__PURE__*/ c.required(c.integer({ min: 1 })),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.MEDIA_ITEM_STATUS)),
  /** Why the item failed, for its owner. */
  error: /*#__PURE__*/ c.nullable(c.text()),
  hlsMasterPlaylistKey: /*#__PURE__*/ c.nullable(c.text()),
  thumbnailKey: /*#__PURE__*/ c.nullable(c.text()),
  durationSeconds: /*#__PURE__*/ c.nullable(c.float),
  width: /*#__PURE__*/ c.nullable(c.integer({ min: 1 })),
  height: /*#__PURE__*/ c.nullable(c.integer({ min: 1 })),
  uploadedAt: /*#__PURE__*/ c.nullable(c.instant),
  deletedAt: /*#__PURE__*/ c.nullable(c.instant),
  /** Marks all rows that went with one deletion, so that restoring brings back exactly those. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** A file that its owner uploaded, or is about to, and what is known of it. */
export type MediaItem = Selectable<DB['app.mediaItems']>
export type NewMediaItem = Insertable<DB['app.mediaItems']>
export type MediaItemUpdate = Updateable<DB['app.mediaItems']>
export const selectMediaItem = /*#__PURE__*/ c.selectRow({
  ...columnsOfMediaItem,
  /** Where the file is in the store. */
  storageKey: /*#__PURE__*/ c.defaulted(c.text()),
})
export const insertMediaItem = /*#__PURE__*/ c.insertRow(columnsOfMediaItem)
export const updateMediaItem = /*#__PURE__*/ insertMediaItem.partial()

const columnsOfOauthState = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  sessionId: /*#__PURE__*/ c.defaulted(c.uuid),
  stateHash: /*#__PURE__*/ c.required(c.bytes),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.CONNECTION_PROVIDER)),
  codeVerifier: /*#__PURE__*/ c.nullable(c.envelope),
  returnTo: /*#__PURE__*/ c.required(c.text()),
  expiresAt: /*#__PURE__*/ c.defaulted(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Connect flows that a browser has begun: taken once, by the session that began them. */
export type OauthState = Selectable<DB['app.oauthStates']>
export type NewOauthState = Insertable<DB['app.oauthStates']>
export type OauthStateUpdate = Updateable<DB['app.oauthStates']>
export const selectOauthState = /*#__PURE__*/ c.selectRow(columnsOfOauthState)
export const insertOauthState = /*#__PURE__*/ c.insertRow(columnsOfOauthState)
export const updateOauthState = /*#__PURE__*/ insertOauthState.partial()

const columnsOfOrganizationApprovalSequence = {
  organizationId: /*#__PURE__*/ c.required(c.uuid),
  lastSeq: /*#__PURE__*/ c.required(c.integer()),
}
/** The last number given to a change of an organization's approvals. */
export type OrganizationApprovalSequence = Selectable<DB['app.organizationApprovalSequences']>
export type NewOrganizationApprovalSequence = Insertable<DB['app.organizationApprovalSequences']>
export type OrganizationApprovalSequenceUpdate = Updateable<DB['app.organizationApprovalSequences']>
export const selectOrganizationApprovalSequence = /*#__PURE__*/ c.selectRow(columnsOfOrganizationApprovalSequence)
export const insertOrganizationApprovalSequence = /*#__PURE__*/ c.insertRow(columnsOfOrganizationApprovalSequence)
export const updateOrganizationApprovalSequence = /*#__PURE__*/ insertOrganizationApprovalSequence.partial()

const columnsOfProviderKey = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.PROVIDER_KEY_PROVIDER)),
  value: /*#__PURE__*/ c.required(c.envelope),
  /** The key's last characters, by which its owner recognises it. */
  hint: /*#__PURE__*/ c.required(c.text({ max: 4 })),
  /** When the key was last revealed, to its owner or to a worker. */
  lastUsedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** A user's keys to AI providers, one a provider, sealed. */
export type ProviderKey = Selectable<DB['app.providerKeys']>
export type NewProviderKey = Insertable<DB['app.providerKeys']>
export type ProviderKeyUpdate = Updateable<DB['app.providerKeys']>
export const selectProviderKey = /*#__PURE__*/ c.selectRow(columnsOfProviderKey)
export const insertProviderKey = /*#__PURE__*/ c.insertRow(columnsOfProviderKey)
export const updateProviderKey = /*#__PURE__*/ insertProviderKey.partial()

const columnsOfRateLimit = {
  key: /*#__PURE__*/ c.required(c.text()),
  count: /*#__PURE__*/ c.defaulted(c.integer()),
  windowStartedAt: /*#__PURE__*/ c.defaulted(c.instant),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Counters of calls by key and window. No login reads or writes it but through app.take_rate_limit. */
export type RateLimit = Selectable<DB['app.rateLimits']>
export type NewRateLimit = Insertable<DB['app.rateLimits']>
export type RateLimitUpdate = Updateable<DB['app.rateLimits']>
export const selectRateLimit = /*#__PURE__*/ c.selectRow(columnsOfRateLimit)
export const insertRateLimit = /*#__PURE__*/ c.insertRow(columnsOfRateLimit)
export const updateRateLimit = /*#__PURE__*/ insertRateLimit.partial()

const columnsOfSetting = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  key: /*#__PURE__*/ c.required(c.text()),
  value: /*#__PURE__*/ c.required(c.json),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What a user has set, by key; which keys exist and what they hold is known to the code. */
export type Setting = Selectable<DB['app.settings']>
export type NewSetting = Insertable<DB['app.settings']>
export type SettingUpdate = Updateable<DB['app.settings']>
export const selectSetting = /*#__PURE__*/ c.selectRow(columnsOfSetting)
export const insertSetting = /*#__PURE__*/ c.insertRow(columnsOfSetting)
export const updateSetting = /*#__PURE__*/ insertSetting.partial()

const columnsOfTaskConnector = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  connectorId: /*#__PURE__*/ c.required(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Which connectors a task may use. */
export type TaskConnector = Selectable<DB['app.taskConnectors']>
export type NewTaskConnector = Insertable<DB['app.taskConnectors']>
export type TaskConnectorUpdate = Updateable<DB['app.taskConnectors']>
export const selectTaskConnector = /*#__PURE__*/ c.selectRow(columnsOfTaskConnector)
export const insertTaskConnector = /*#__PURE__*/ c.insertRow(columnsOfTaskConnector)
export const updateTaskConnector = /*#__PURE__*/ insertTaskConnector.partial()

const columnsOfTaskEvent = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  seq: /*#__PURE__*/ c.required(c.integer({ min: 1 })),
  kind: /*#__PURE__*/ c.required(c.oneOf(v.TASK_EVENT_KIND)),
  messageId: /*#__PURE__*/ c.required(c.uuid),
  offset: /*#__PURE__*/ c.nullable(c.integer()),
  at: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What happened to a task's messages, in order. Append-only, until a message's deltas become one. */
export type TaskEvent = Selectable<DB['app.taskEvents']>
export type NewTaskEvent = Insertable<DB['app.taskEvents']>
export type TaskEventUpdate = Updateable<DB['app.taskEvents']>
export const selectTaskEvent = /*#__PURE__*/ c.selectRow(columnsOfTaskEvent)
export const insertTaskEvent = /*#__PURE__*/ c.insertRow(columnsOfTaskEvent)
export const updateTaskEvent = /*#__PURE__*/ insertTaskEvent.partial()

const columnsOfTaskKey = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.TASK_KEY_PROVIDER)),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Which providers' keys a task may use. A key may be set, or set anew, after the task was created. */
export type TaskKey = Selectable<DB['app.taskKeys']>
export type NewTaskKey = Insertable<DB['app.taskKeys']>
export type TaskKeyUpdate = Updateable<DB['app.taskKeys']>
export const selectTaskKey = /*#__PURE__*/ c.selectRow(columnsOfTaskKey)
export const insertTaskKey = /*#__PURE__*/ c.insertRow(columnsOfTaskKey)
export const updateTaskKey = /*#__PURE__*/ insertTaskKey.partial()

const columnsOfTaskLease = {
  userId: /*#__PURE__*/ c.required(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  credentialHash: /*#__PURE__*/ c.required(c.bytes),
  worker: /*#__PURE__*/ c.required(c.text()),
  apiTokenId: /*#__PURE__*/ c.nullable(c.uuid),
  sessionId: /*#__PURE__*/ c.nullable(c.uuid),
  leaseSeconds: /*#__PURE__*/ c.required(c.integer({ min: 10, max: 600 })),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  endedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Who works on a task, until when. Without a token and a session, it was the operator's worker. */
export type TaskLease = Selectable<DB['app.taskLeases']>
export type NewTaskLease = Insertable<DB['app.taskLeases']>
export type TaskLeaseUpdate = Updateable<DB['app.taskLeases']>
export const selectTaskLease = /*#__PURE__*/ c.selectRow(columnsOfTaskLease)
export const insertTaskLease = /*#__PURE__*/ c.insertRow(columnsOfTaskLease)
export const updateTaskLease = /*#__PURE__*/ insertTaskLease.partial()

const columnsOfTaskLog = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  seq: /*#__PURE__*/ c.required(c.integer({ min: 1 })),
  type: /*#__PURE__*/ c.required(c.oneOf(v.TASK_LOG_TYPE)),
  message: /*#__PURE__*/ c.required(c.text()),
  at: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What a task reports, line by line. Append-only. */
export type TaskLog = Selectable<DB['app.taskLogs']>
export type NewTaskLog = Insertable<DB['app.taskLogs']>
export type TaskLogUpdate = Updateable<DB['app.taskLogs']>
export const selectTaskLog = /*#__PURE__*/ c.selectRow(columnsOfTaskLog)
export const insertTaskLog = /*#__PURE__*/ c.insertRow(columnsOfTaskLog)
export const updateTaskLog = /*#__PURE__*/ insertTaskLog.partial()

const columnsOfTaskMessageDelta = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  messageId: /*#__PURE__*/ c.required(c.uuid),
  offset: /*#__PURE__*/ c.required(c.integer({ min: 0 })),
  text: /*#__PURE__*/ c.required(c.text()),
}
/** The parts of a message in the order they were written. Append-only; one part with all of the text a week after it was finished. */
export type TaskMessageDelta = Selectable<DB['app.taskMessageDeltas']>
export type NewTaskMessageDelta = Insertable<DB['app.taskMessageDeltas']>
export type TaskMessageDeltaUpdate = Updateable<DB['app.taskMessageDeltas']>
export const selectTaskMessageDelta = /*#__PURE__*/ c.selectRow(columnsOfTaskMessageDelta)
export const insertTaskMessageDelta = /*#__PURE__*/ c.insertRow(columnsOfTaskMessageDelta)
export const updateTaskMessageDelta = /*#__PURE__*/ insertTaskMessageDelta.partial()

const columnsOfTaskMessage = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  taskId: /*#__PURE__*/ c.required(c.uuid),
  seq: /*#__PURE__*/ c.required(c.integer({ min: 1 })),
  role: /*#__PURE__*/ c.required(c.oneOf(v.TASK_MESSAGE_ROLE)),
  content: /*#__PURE__*/ c.required(c.text()),
  length: /*#__PURE__*/ c.defaulted(c.integer()),
  status: /*#__PURE__*/ c.required(c.oneOf(v.TASK_MESSAGE_STATUS)),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** The conversation between a user and the agent of a task. */
export type TaskMessage = Selectable<DB['app.taskMessages']>
export type NewTaskMessage = Insertable<DB['app.taskMessages']>
export type TaskMessageUpdate = Updateable<DB['app.taskMessages']>
export const selectTaskMessage = /*#__PURE__*/ c.selectRow(columnsOfTaskMessage)
export const insertTaskMessage = /*#__PURE__*/ c.insertRow(columnsOfTaskMessage)
export const updateTaskMessage = /*#__PURE__*/ insertTaskMessage.partial()

const columnsOfTask = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.nullable(c.uuid),
  title: /*#__PURE__*/ c.required(c.text()),
  prompt: /*#__PURE__*/ c.required(c.text()),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.TASK_STATUS)),
  progress: /*#__PURE__*/ c.defaulted(c.integer({ min: 0, max: 100 })),
  repoUrl: /*#__PURE__*/ c.nullable(c.text()),
  branchName: /*#__PURE__*/ c.nullable(c.text()),
  sandboxUrl: /*#__PURE__*/ c.nullable(c.text()),
  previewUrl: /*#__PURE__*/ c.nullable(c.text()),
  prUrl: /*#__PURE__*/ c.nullable(c.text()),
  prNumber: /*#__PURE__*/ c.nullable(c.integer()),
  prStatus: /*#__PURE__*/ c.nullable(c.oneOf(v.TASK_PR_STATUS)),
  prMergeCommitSha: /*#__PURE__*/ c.nullable(c.text()),
  agent: /*#__PURE__*/ c.nullable(c.text()),
  model: /*#__PURE__*/ c.nullable(c.text()),
  agentSessionId: /*#__PURE__*/ c.nullable(c.text()),
  sandboxId: /*#__PURE__*/ c.nullable(c.text()),
  options: /*#__PURE__*/ c.defaulted(c.json),
  result: /*#__PURE__*/ c.nullable(c.json),
  error: /*#__PURE__*/ c.nullable(c.text()),
  /** The lease under which a worker may write: the fence that holds under the row's lock, when a lease changes hands meanwhile. */
  leaseId: /*#__PURE__*/ c.nullable(c.uuid),
  lastLogSeq: /*#__PURE__*/ c.defaulted(c.integer()),
  lastMessageSeq: /*#__PURE__*/ c.defaulted(c.integer()),
  lastEventSeq: /*#__PURE__*/ c.defaulted(c.integer()),
  startedAt: /*#__PURE__*/ c.nullable(c.instant),
  completedAt: /*#__PURE__*/ c.nullable(c.instant),
  deletedAt: /*#__PURE__*/ c.nullable(c.instant),
  /** Marks all rows that went with one deletion, so that restoring brings back exactly those. */
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Work for an agent: a prompt, its progress and what came of it. */
export type Task = Selectable<DB['app.tasks']>
export type NewTask = Insertable<DB['app.tasks']>
export type TaskUpdate = Updateable<DB['app.tasks']>
export const selectTask = /*#__PURE__*/ c.selectRow({
  ...columnsOfTask,
  search: /*#__PURE__*/ c.defaulted(c.text()),
})
export const insertTask = /*#__PURE__*/ c.insertRow(columnsOfTask)
export const updateTask = /*#__PURE__*/ insertTask.partial()

const columnsOfToolCall = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  runId: /*#__PURE__*/ c.required(c.uuid),
  callId: /*#__PURE__*/ c.required(c.text()),
  tool: /*#__PURE__*/ c.required(c.text()),
  arguments: /*#__PURE__*/ c.required(c.json),
  argumentsHash: /*#__PURE__*/ c.required(c.bytes),
  result: /*#__PURE__*/ c.nullable(c.json),
  error: /*#__PURE__*/ c.nullable(c.text()),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.TOOL_CALL_STATUS)),
  startedAt: /*#__PURE__*/ c.nullable(c.instant),
  finishedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** The tools that a run called, with what they were given and gave back. */
export type ToolCall = Selectable<DB['app.toolCalls']>
export type NewToolCall = Insertable<DB['app.toolCalls']>
export type ToolCallUpdate = Updateable<DB['app.toolCalls']>
export const selectToolCall = /*#__PURE__*/ c.selectRow(columnsOfToolCall)
export const insertToolCall = /*#__PURE__*/ c.insertRow(columnsOfToolCall)
export const updateToolCall = /*#__PURE__*/ insertToolCall.partial()

const columnsOfTool = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  slug: /*#__PURE__*/ c.required(c.text()),
  name: /*#__PURE__*/ c.required(c.text()),
  description: /*#__PURE__*/ c.required(c.text()),
  category: /*#__PURE__*/ c.required(c.oneOf(v.TOOL_CATEGORY)),
  tags: /*#__PURE__*/ c.defaulted(c.arrayOf(c.text())),
  inputSchema: /*#__PURE__*/ c.required(c.json),
  configSchema: /*#__PURE__*/ c.defaulted(c.json),
  requiresApproval: /*#__PURE__*/ c.defaulted(c.boolean),
  requiresConnection: /*#__PURE__*/ c.nullable(c.oneOf(v.CONNECTION_PROVIDER)),
  isEnabled: /*#__PURE__*/ c.defaulted(c.boolean),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** The catalogue of tools that agents may call. */
export type Tool = Selectable<DB['app.tools']>
export type NewTool = Insertable<DB['app.tools']>
export type ToolUpdate = Updateable<DB['app.tools']>
export const selectTool = /*#__PURE__*/ c.selectRow(columnsOfTool)
export const insertTool = /*#__PURE__*/ c.insertRow(columnsOfTool)
export const updateTool = /*#__PURE__*/ insertTool.partial()

const columnsOfUserTool = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  toolId: /*#__PURE__*/ c.required(c.uuid),
  isEnabled: /*#__PURE__*/ c.defaulted(c.boolean),
  config: /*#__PURE__*/ c.defaulted(c.json),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Which tools a user has enabled, and how they are set up for them. */
export type UserTool = Selectable<DB['app.userTools']>
export type NewUserTool = Insertable<DB['app.userTools']>
export type UserToolUpdate = Updateable<DB['app.userTools']>
export const selectUserTool = /*#__PURE__*/ c.selectRow(columnsOfUserTool)
export const insertUserTool = /*#__PURE__*/ c.insertRow(columnsOfUserTool)
export const updateUserTool = /*#__PURE__*/ insertUserTool.partial()

const columnsOfWebhookDelivery = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.CONNECTION_PROVIDER)),
  /** The provider's, by which a repeated delivery is recognised. */
  deliveryId: /*#__PURE__*/ c.required(c.text()),
  /** SHA-256 of the body as it was signed: a copy under another id, which no signature covers, is recognised by it. */
  bodyHash: /*#__PURE__*/ c.required(c.bytes),
  eventType: /*#__PURE__*/ c.required(c.text()),
  headers: /*#__PURE__*/ c.required(c.json),
  payload: /*#__PURE__*/ c.required(c.json),
  receivedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What providers delivered, once each, for thirty days. No login reads or writes it but through functions. */
export type WebhookDelivery = Selectable<DB['app.webhookDeliveries']>
export type NewWebhookDelivery = Insertable<DB['app.webhookDeliveries']>
export type WebhookDeliveryUpdate = Updateable<DB['app.webhookDeliveries']>
export const selectWebhookDelivery = /*#__PURE__*/ c.selectRow(columnsOfWebhookDelivery)
export const insertWebhookDelivery = /*#__PURE__*/ c.insertRow(columnsOfWebhookDelivery)
export const updateWebhookDelivery = /*#__PURE__*/ insertWebhookDelivery.partial()

const columnsOfWebhookEvent = {
  userId: /*#__PURE__*/ c.defaulted(c.uuid),
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  connectionId: /*#__PURE__*/ c.required(c.uuid),
  deliveryId: /*#__PURE__*/ c.required(c.uuid),
  provider: /*#__PURE__*/ c.required(c.oneOf(v.CONNECTION_PROVIDER)),
  eventType: /*#__PURE__*/ c.required(c.text()),
  payload: /*#__PURE__*/ c.required(c.json),
  /** What processing does to the connection; null where it only notes the event. */
  effect: /*#__PURE__*/ c.nullable(c.oneOf(v.WEBHOOK_EVENT_EFFECT)),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.WEBHOOK_EVENT_STATUS)),
  attempts: /*#__PURE__*/ c.defaulted(c.integer()),
  /** When the event is to be worked on; of one that is being processed, when its claim ends. */
  nextAttemptAt: /*#__PURE__*/ c.nullable(c.instant),
  lastError: /*#__PURE__*/ c.nullable(c.text()),
  processedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** What a delivery was to one connection: an event of its owner's. */
export type WebhookEvent = Selectable<DB['app.webhookEvents']>
export type NewWebhookEvent = Insertable<DB['app.webhookEvents']>
export type WebhookEventUpdate = Updateable<DB['app.webhookEvents']>
export const selectWebhookEvent = /*#__PURE__*/ c.selectRow(columnsOfWebhookEvent)
export const insertWebhookEvent = /*#__PURE__*/ c.insertRow(columnsOfWebhookEvent)
export const updateWebhookEvent = /*#__PURE__*/ insertWebhookEvent.partial()

const columnsOfAccount = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  userId: /*#__PURE__*/ c.required(c.uuid),
  accountId: /*#__PURE__*/ c.required(c.text()),
  providerId: /*#__PURE__*/ c.required(c.text()),
  accessToken: /*#__PURE__*/ c.nullable(c.text()),
  refreshToken: /*#__PURE__*/ c.nullable(c.text()),
  idToken: /*#__PURE__*/ c.nullable(c.text()),
  accessTokenExpiresAt: /*#__PURE__*/ c.nullable(c.instant),
  refreshTokenExpiresAt: /*#__PURE__*/ c.nullable(c.instant),
  scope: /*#__PURE__*/ c.nullable(c.text()),
  password: /*#__PURE__*/ c.nullable(c.text()),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Ways to sign in: a password or an external account. OAuth tokens are encrypted. */
export type Account = Selectable<DB['auth.accounts']>
export type NewAccount = Insertable<DB['auth.accounts']>
export type AccountUpdate = Updateable<DB['auth.accounts']>
export const selectAccount = /*#__PURE__*/ c.selectRow(columnsOfAccount)
export const insertAccount = /*#__PURE__*/ c.insertRow(columnsOfAccount)
export const updateAccount = /*#__PURE__*/ insertAccount.partial()

const columnsOfInvitation = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.required(c.uuid),
  inviterId: /*#__PURE__*/ c.required(c.uuid),
  email: /*#__PURE__*/ c.required(c.text({ max: 254 })),
  role: /*#__PURE__*/ c.defaulted(c.oneOf(v.INVITATION_ROLE)),
  status: /*#__PURE__*/ c.defaulted(c.oneOf(v.INVITATION_STATUS)),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Invitations into an organization, by mail address. */
export type Invitation = Selectable<DB['auth.invitations']>
export type NewInvitation = Insertable<DB['auth.invitations']>
export type InvitationUpdate = Updateable<DB['auth.invitations']>
export const selectInvitation = /*#__PURE__*/ c.selectRow(columnsOfInvitation)
export const insertInvitation = /*#__PURE__*/ c.insertRow(columnsOfInvitation)
export const updateInvitation = /*#__PURE__*/ insertInvitation.partial()

const columnsOfMember = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  organizationId: /*#__PURE__*/ c.required(c.uuid),
  userId: /*#__PURE__*/ c.required(c.uuid),
  role: /*#__PURE__*/ c.defaulted(c.oneOf(v.MEMBER_ROLE)),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Who belongs to an organization, and as what. */
export type Member = Selectable<DB['auth.members']>
export type NewMember = Insertable<DB['auth.members']>
export type MemberUpdate = Updateable<DB['auth.members']>
export const selectMember = /*#__PURE__*/ c.selectRow(columnsOfMember)
export const insertMember = /*#__PURE__*/ c.insertRow(columnsOfMember)
export const updateMember = /*#__PURE__*/ insertMember.partial()

const columnsOfOrganization = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  name: /*#__PURE__*/ c.required(c.text({ max: 100 })),
  slug: /*#__PURE__*/ c.required(c.text({ max: 63 })),
  logo: /*#__PURE__*/ c.nullable(c.text({ max: 2048 })),
  metadata: /*#__PURE__*/ c.nullable(c.text()),
  requireTwoFactor: /*#__PURE__*/ c.defaulted(c.boolean),
  allowSelfApproval: /*#__PURE__*/ c.defaulted(c.boolean),
  deletedAt: /*#__PURE__*/ c.nullable(c.instant),
  deletionId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Teams. Removing one hides it; its row stays, so that it can be restored within 30 days. */
export type Organization = Selectable<DB['auth.organizations']>
export type NewOrganization = Insertable<DB['auth.organizations']>
export type OrganizationUpdate = Updateable<DB['auth.organizations']>
export const selectOrganization = /*#__PURE__*/ c.selectRow(columnsOfOrganization)
export const insertOrganization = /*#__PURE__*/ c.insertRow(columnsOfOrganization)
export const updateOrganization = /*#__PURE__*/ insertOrganization.partial()

const columnsOfSession = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  userId: /*#__PURE__*/ c.required(c.uuid),
  token: /*#__PURE__*/ c.required(c.text()),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  /** Whether use prolongs the session; false for one that was not to be remembered. */
  slides: /*#__PURE__*/ c.defaulted(c.boolean),
  /** When the second factor that stands behind the session was given; null where its user had none. */
  secondFactorAt: /*#__PURE__*/ c.nullable(c.instant),
  lastUsedAt: /*#__PURE__*/ c.defaulted(c.instant),
  ipAddress: /*#__PURE__*/ c.nullable(c.text()),
  userAgent: /*#__PURE__*/ c.nullable(c.text({ max: 500 })),
  activeOrganizationId: /*#__PURE__*/ c.nullable(c.uuid),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Sign-ins that last. A token is stored as the SHA-256 of the SHA-256 of the secret, in hex. */
export type Session = Selectable<DB['auth.sessions']>
export type NewSession = Insertable<DB['auth.sessions']>
export type SessionUpdate = Updateable<DB['auth.sessions']>
export const selectSession = /*#__PURE__*/ c.selectRow(columnsOfSession)
export const insertSession = /*#__PURE__*/ c.insertRow(columnsOfSession)
export const updateSession = /*#__PURE__*/ insertSession.partial()

const columnsOfTrustedDevice = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  userId: /*#__PURE__*/ c.required(c.uuid),
  tokenHash: /*#__PURE__*/ c.required(c.bytes),
  secondFactorAt: /*#__PURE__*/ c.defaulted(c.instant),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  userAgent: /*#__PURE__*/ c.nullable(c.text()),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Browsers that gave a second factor and are not asked for it again until they expire; the cookie's value is stored hashed. */
export type TrustedDevice = Selectable<DB['auth.trustedDevices']>
export type NewTrustedDevice = Insertable<DB['auth.trustedDevices']>
export type TrustedDeviceUpdate = Updateable<DB['auth.trustedDevices']>
export const selectTrustedDevice = /*#__PURE__*/ c.selectRow(columnsOfTrustedDevice)
export const insertTrustedDevice = /*#__PURE__*/ c.insertRow(columnsOfTrustedDevice)
export const updateTrustedDevice = /*#__PURE__*/ insertTrustedDevice.partial()

const columnsOfTwoFactor = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  userId: /*#__PURE__*/ c.required(c.uuid),
  secret: /*#__PURE__*/ c.required(c.text()),
  backupCodes: /*#__PURE__*/ c.required(c.text()),
  verified: /*#__PURE__*/ c.defaulted(c.boolean),
  failedVerificationCount: /*#__PURE__*/ c.defaulted(c.integer()),
  lockedUntil: /*#__PURE__*/ c.nullable(c.instant),
  /** The newest 30-second step whose code was used: this one and all before it are spent. */
  lastUsedStep: /*#__PURE__*/ c.defaulted(c.integer()),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Second factors: an encrypted TOTP secret and backup codes a user. */
export type TwoFactor = Selectable<DB['auth.twoFactors']>
export type NewTwoFactor = Insertable<DB['auth.twoFactors']>
export type TwoFactorUpdate = Updateable<DB['auth.twoFactors']>
export const selectTwoFactor = /*#__PURE__*/ c.selectRow(columnsOfTwoFactor)
export const insertTwoFactor = /*#__PURE__*/ c.insertRow(columnsOfTwoFactor)
export const updateTwoFactor = /*#__PURE__*/ insertTwoFactor.partial()

const columnsOfUser = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  name: /*#__PURE__*/ c.required(c.text({ max: 100 })),
  email: /*#__PURE__*/ c.required(c.text({ max: 254 })),
  emailVerified: /*#__PURE__*/ c.defaulted(c.boolean),
  image: /*#__PURE__*/ c.nullable(c.text({ max: 2048 })),
  twoFactorEnabled: /*#__PURE__*/ c.defaulted(c.boolean),
  /** When the user was removed. Nobody signs in as them or sees them from then on; their rows are deleted in batches, this one last. */
  removedAt: /*#__PURE__*/ c.nullable(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** People who can sign in. */
export type User = Selectable<DB['auth.users']>
export type NewUser = Insertable<DB['auth.users']>
export type UserUpdate = Updateable<DB['auth.users']>
export const selectUser = /*#__PURE__*/ c.selectRow(columnsOfUser)
export const insertUser = /*#__PURE__*/ c.insertRow(columnsOfUser)
export const updateUser = /*#__PURE__*/ insertUser.partial()

const columnsOfVerification = {
  id: /*#__PURE__*/ c.defaulted(c.uuid),
  /** Whose reset link or sign-in challenge it is; it ends with their next password or mail address. Null for anything else. */
  userId: /*#__PURE__*/ c.nullable(c.uuid),
  identifier: /*#__PURE__*/ c.required(c.text()),
  value: /*#__PURE__*/ c.required(c.text()),
  expiresAt: /*#__PURE__*/ c.required(c.instant),
  createdAt: /*#__PURE__*/ c.defaulted(c.instant),
  updatedAt: /*#__PURE__*/ c.defaulted(c.instant),
}
/** Pending password resets, mail verifications and sign-in states; identifiers are hashed. */
export type Verification = Selectable<DB['auth.verifications']>
export type NewVerification = Insertable<DB['auth.verifications']>
export type VerificationUpdate = Updateable<DB['auth.verifications']>
export const selectVerification = /*#__PURE__*/ c.selectRow(columnsOfVerification)
export const insertVerification = /*#__PURE__*/ c.insertRow(columnsOfVerification)
export const updateVerification = /*#__PURE__*/ insertVerification.partial()

/** By the name that statements use. */
export const rows = {
  'app.agentRuns': { select: selectAgentRun, insert: insertAgentRun, update: updateAgentRun },
  'app.aiProviderConfigs': { select: selectAiProviderConfig, insert: insertAiProviderConfig, update: updateAiProviderConfig },
  'app.apiTokens': { select: selectApiToken, insert: insertApiToken, update: updateApiToken },
  'app.approvalSequences': { select: selectApprovalSequence, insert: insertApprovalSequence, update: updateApprovalSequence },
  'app.approvals': { select: selectApproval, insert: insertApproval, update: updateApproval },
  'app.connections': { select: selectConnection, insert: insertConnection, update: updateConnection },
  'app.connectors': { select: selectConnector, insert: insertConnector, update: updateConnector },
  'app.content': { select: selectContent, insert: insertContent, update: updateContent },
  'app.dailyUsage': { select: selectDailyUsage, insert: insertDailyUsage, update: updateDailyUsage },
  'app.erasures': { select: selectErasure, insert: insertErasure, update: updateErasure },
  'app.fileRemovals': { select: selectFileRemoval, insert: insertFileRemoval, update: updateFileRemoval },
  'app.heldPlaces': { select: selectHeldPlace, insert: insertHeldPlace, update: updateHeldPlace },
  'app.keyringChecks': { select: selectKeyringCheck, insert: insertKeyringCheck, update: updateKeyringCheck },
  'app.mediaItems': { select: selectMediaItem, insert: insertMediaItem, update: updateMediaItem },
  'app.oauthStates': { select: selectOauthState, insert: insertOauthState, update: updateOauthState },
  'app.organizationApprovalSequences': { select: selectOrganizationApprovalSequence, insert: insertOrganizationApprovalSequence, update: updateOrganizationApprovalSequence },
  'app.providerKeys': { select: selectProviderKey, insert: insertProviderKey, update: updateProviderKey },
  'app.rateLimits': { select: selectRateLimit, insert: insertRateLimit, update: updateRateLimit },
  'app.settings': { select: selectSetting, insert: insertSetting, update: updateSetting },
  'app.taskConnectors': { select: selectTaskConnector, insert: insertTaskConnector, update: updateTaskConnector },
  'app.taskEvents': { select: selectTaskEvent, insert: insertTaskEvent, update: updateTaskEvent },
  'app.taskKeys': { select: selectTaskKey, insert: insertTaskKey, update: updateTaskKey },
  'app.taskLeases': { select: selectTaskLease, insert: insertTaskLease, update: updateTaskLease },
  'app.taskLogs': { select: selectTaskLog, insert: insertTaskLog, update: updateTaskLog },
  'app.taskMessageDeltas': { select: selectTaskMessageDelta, insert: insertTaskMessageDelta, update: updateTaskMessageDelta },
  'app.taskMessages': { select: selectTaskMessage, insert: insertTaskMessage, update: updateTaskMessage },
  'app.tasks': { select: selectTask, insert: insertTask, update: updateTask },
  'app.toolCalls': { select: selectToolCall, insert: insertToolCall, update: updateToolCall },
  'app.tools': { select: selectTool, insert: insertTool, update: updateTool },
  'app.userTools': { select: selectUserTool, insert: insertUserTool, update: updateUserTool },
  'app.webhookDeliveries': { select: selectWebhookDelivery, insert: insertWebhookDelivery, update: updateWebhookDelivery },
  'app.webhookEvents': { select: selectWebhookEvent, insert: insertWebhookEvent, update: updateWebhookEvent },
  'auth.accounts': { select: selectAccount, insert: insertAccount, update: updateAccount },
  'auth.invitations': { select: selectInvitation, insert: insertInvitation, update: updateInvitation },
  'auth.members': { select: selectMember, insert: insertMember, update: updateMember },
  'auth.organizations': { select: selectOrganization, insert: insertOrganization, update: updateOrganization },
  'auth.sessions': { select: selectSession, insert: insertSession, update: updateSession },
  'auth.trustedDevices': { select: selectTrustedDevice, insert: insertTrustedDevice, update: updateTrustedDevice },
  'auth.twoFactors': { select: selectTwoFactor, insert: insertTwoFactor, update: updateTwoFactor },
  'auth.users': { select: selectUser, insert: insertUser, update: updateUser },
  'auth.verifications': { select: selectVerification, insert: insertVerification, update: updateVerification },
}
