import { hash, randomUUID } from 'node:crypto'
import { placeOf as aiProviderPlace } from '../../ai-providers/queries.ts'
import { digestSessionToken } from '../../auth/session-token.ts'
import { createSecret, credentialOf, storedSecret } from '../../bearer-secrets.ts'
import type { ConnectionSettings, ProviderName } from '../../connections/schema.ts'
import { sealTokens } from '../../connections/tokens.ts'
import { SECRET_FIELDS } from '../../connectors/schema.ts'
import { placeOf as connectorPlace } from '../../connectors/secrets.ts'
import { seal } from '../../crypto/envelope.ts'
import { newId } from '../../db/new-id.ts'
import { placeOf as keyPlace } from '../../keys/queries.ts'
import {
  type Actor,
  type ActorToken,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
} from '../actors.ts'

/** A user with at least one row in every table, and what those rows are called. */
export interface Household extends Actor {
  readonly organizationId: string
  /** Owns the organization, too. */
  readonly colleagueId: string
  /** An organization of theirs that they removed. */
  readonly removedOrganizationId: string
  /** Into their organization, and out of another to their own address. */
  readonly sentInvitationId: string
  readonly receivedInvitationId: string
  readonly taskId: string
  readonly removedTaskId: string
  readonly stoppedTaskId: string
  /** A task that a worker of theirs is at, and all that comes with it. */
  readonly leasedTaskId: string
  readonly lease: Lease
  readonly messageId: string
  readonly runId: string
  readonly toolCallId: string
  /** Their connector, which the leased task may use, as it may their key to `anthropic`. */
  readonly connectorId: string
  /** Their GitHub installation, and an event of it that died. */
  readonly connectionId: string
  /** A connection to each provider. */
  readonly connectionIds: Readonly<Record<ProviderName, string>>
  readonly eventId: string
  /** The organization's default. */
  readonly aiProviderId: string
  /** Pending: their own, one in their organization, and one for a call of the leased task's, which awaits another call. */
  readonly approvalId: string
  readonly organizationApprovalId: string
  readonly leasedApprovalId: string
  readonly awaitingToolCallId: string
  /** An image that is ready, an upload that has begun, and an image that was removed. */
  readonly mediaId: string
  /** A draft of their own, what they published, what they removed, and what they wrote for their organization. */
  readonly contentId: string
  readonly publishedContentId: string
  readonly removedContentId: string
  readonly sharedContentId: string
  readonly uploadId: string
  readonly removedMediaId: string
  readonly apiToken: ActorToken
  /** What a row of theirs holds and nobody else's does. */
  readonly canary: string
}

export interface Lease {
  readonly id: string
  readonly secret: string
  readonly authorization: string
  /** What travels to the database. */
  readonly credential: string
}

/** Makes a user who has something in every table, in an organization of their own. */
export async function createHousehold(house: House, name: string): Promise<Household> {
  const actor = await createActor(house, { name })
  const colleague = await createActor(house, { name: 'Colleague' })
  const { id: organizationId } = await createOrganization(actor, [{ actor: colleague, role: 'owner' }])
  const apiToken = await createApiToken(actor, { scopes: ['tasks:write', 'settings:write'], organizationId })
  const canary = `canary-${randomUUID()}`
  const { userId } = actor
  const { id: removedOrganizationId } = await createOrganization(actor)
  const host = await createActor(house, { name: 'Host' })
  const { id: hostsId } = await createOrganization(host)
  const [sentInvitationId, receivedInvitationId] = await Promise.all([
    createInvitation(actor, { organizationId, email: `${canary}@example.com` }),
    createInvitation(host, { organizationId: hostsId, email: actor.email }),
  ])

  const [taskId, removedTaskId, stoppedTaskId, leasedTaskId] = await Promise.all([
    createTask(house, { userId, organizationId, canary }, `'pending', null, null`),
    createTask(house, { userId, organizationId, canary }, `'pending', now(), app.new_id()`),
    createTask(house, { userId, organizationId, canary }, `'stopped', null, null`),
    createTask(house, { userId, organizationId, canary }, `'processing', null, null`),
  ])
  const lease = await createLease(house, { userId, taskId: leasedTaskId, worker: canary })
  const messageId = await insertOne(
    house,
    `insert into app.task_messages (user_id, task_id, seq, role, content, status, length)
     values ($1, $2, 1, 'agent', '', 'streaming', length($3)) returning id`,
    [userId, leasedTaskId, canary],
  )
  const runId = await insertOne(
    house,
    'insert into app.agent_runs (user_id, task_id, agent) values ($1, $2, $3) returning id',
    [userId, leasedTaskId, canary],
  )
  const approvals = await createApprovals(house, { userId, organizationId, leasedTaskId, runId, canary })
  // The run's last call.
  const toolCallId = await insertOne(
    house,
    `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
     values ($1, $2, $3, 'read_file', '{}', sha256('{}')) returning id`,
    [userId, runId, canary],
  )
  const userMessageId = await insertOne(
    house,
    `insert into app.task_messages (user_id, task_id, seq, role, content, status, length)
     values ($1, $2, 1, 'user', $3, 'complete', length($3)) returning id`,
    [userId, taskId, canary],
  )
  const connectionIds = {
    notion: await createConnection(house, { userId, provider: 'notion', canary }),
    github: await createConnection(house, { userId, provider: 'github', canary }),
    slack: await createConnection(house, { userId, provider: 'slack', canary }),
    linear: await createConnection(house, { userId, provider: 'linear', canary }),
  }
  const { github: connectionId } = connectionIds
  await createOAuthState(house, { userId, sessionId: actor.sessionId, canary })
  const eventId = await createEvent(house, { userId, connectionId, canary })
  const connectorId = await createConnector(house, { userId, taskId: leasedTaskId, canary })
  await createKey(house, { userId, taskId: leasedTaskId, canary })
  const aiProviderId = await createAiProvider(house, { organizationId, canary })
  const mediaId = await createMediaItem(house, { userId, canary }, 'ready')
  const own = { userId, organizationId: null, mediaId, canary }
  const contentId = await createContent(house, own, 'draft')
  const publishedContentId = await createContent(house, { ...own, mediaId: null }, 'published')
  const removedContentId = await createContent(house, own, 'removed')
  const sharedContentId = await createContent(house, { ...own, organizationId }, 'draft')
  const removedMediaId = await createMediaItem(house, { userId, canary }, 'removed')
  const uploadId = await createMediaItem(house, { userId, canary }, 'uploading')
  const otherRunId = await insertOne(
    house,
    'insert into app.agent_runs (user_id, agent) values ($1, $2) returning id',
    [userId, canary],
  )
  await run(house, [
    // What its owner's lease on another task must not see.
    [
      `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
       values ($1, $2, $3, 'read_file', '{}', sha256('{}'))`,
      [userId, otherRunId, canary],
    ],
    [
      'insert into app.task_message_deltas (user_id, message_id, "offset", text) values ($1, $2, 0, $3)',
      [userId, userMessageId, canary],
    ],
    [
      'insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 1, $3, $4)',
      [userId, taskId, 'info', canary],
    ],
    [
      'insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 1, $3, $4)',
      [userId, leasedTaskId, 'info', canary],
    ],
    [
      'insert into app.task_message_deltas (user_id, message_id, "offset", text) values ($1, $2, 0, $3)',
      [userId, messageId, canary],
    ],
    [
      `insert into app.task_events (user_id, task_id, seq, kind, message_id, "offset")
       values ($1, $2, 1, 'message', $3, null), ($1, $4, 1, 'message', $5, null), ($1, $4, 2, 'delta', $5, 0)`,
      [userId, taskId, userMessageId, leasedTaskId, messageId],
    ],
    ['update app.tasks set last_event_seq = 1 where user_id = $1 and id = $2', [userId, taskId]],
    ['update app.tasks set last_event_seq = 2 where user_id = $1 and id = $2', [userId, leasedTaskId]],
    // Out of the catalogue, and so nobody's to read.
    [
      `insert into app.tools (slug, name, description, category, input_schema, is_enabled)
       values ($1, $1, $1, 'project', '{}', false)`,
      [canary],
    ],
    [
      `insert into app.user_tools (user_id, tool_id, config)
       select $1, id, jsonb_build_object('protectedPaths', jsonb_build_array($2::text))
       from app.tools where slug = 'write_file'`,
      [userId, canary],
    ],
    [
      `insert into app.settings (user_id, key, value) values ($1, 'locale', to_jsonb($2::text))`,
      [userId, canary],
    ],
    [
      `insert into app.daily_usage (user_id, day, tasks) values ($1, (now() at time zone 'UTC')::date, 3)`,
      [userId],
    ],
    [`insert into app.rate_limits (key, expires_at) values ($1, now() + interval '1 hour')`, [canary]],
    [
      `insert into app.keyring_checks (key_id, value) values (md5($1), 'rh1.' || md5($1) || '.' || $1)`,
      [canary],
    ],
    [`insert into app.file_removals (storage_key, due_at) values ($1, now() + interval '1 hour')`, [canary]],
    [
      `insert into auth.accounts (user_id, account_id, provider_id, password) values ($1::uuid, $1::text, 'credential', $2)`,
      [userId, canary],
    ],
    [
      `insert into auth.verifications (identifier, value, expires_at) values ($1, $1, now() + interval '1 hour')`,
      [canary],
    ],
    [
      'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
      [removedOrganizationId],
    ],
    ['insert into auth.two_factors (user_id, secret, backup_codes) values ($1, $2, $2)', [userId, canary]],
    [
      `insert into auth.trusted_devices (user_id, token_hash, user_agent, expires_at)
       values ($1, sha256(convert_to($2, 'UTF8')), $2, now() + interval '1 hour')`,
      [userId, canary],
    ],
    ['update auth.users set image = $2 where id = $1', [userId, `https://example.com/${canary}`]],
    [
      'update auth.organizations set logo = $2 where id = $1',
      [organizationId, `https://example.com/${canary}`],
    ],
    ['update app.api_tokens set name = $2 where user_id = $1', [userId, canary]],
    ['update auth.sessions set active_organization_id = $2 where user_id = $1', [userId, organizationId]],
  ])
  return {
    ...actor,
    organizationId,
    colleagueId: colleague.userId,
    removedOrganizationId,
    sentInvitationId,
    receivedInvitationId,
    taskId,
    removedTaskId,
    stoppedTaskId,
    leasedTaskId,
    lease,
    messageId,
    runId,
    toolCallId,
    connectorId,
    connectionId,
    connectionIds,
    eventId,
    aiProviderId,
    ...approvals,
    mediaId,
    contentId,
    publishedContentId,
    removedContentId,
    sharedContentId,
    uploadId,
    removedMediaId,
    apiToken,
    canary,
  }
}

/** Gives a task to a worker: of the operator's, unless a token or a session of the owner's claimed it. */
export async function createLease(
  house: House,
  claim: { userId: string; taskId: string; worker?: string; apiTokenId?: string; sessionId?: string },
): Promise<Lease> {
  const secret = createSecret('rhl_')
  const id = await insertOne(
    house,
    `insert into app.task_leases
       (user_id, task_id, worker, credential_hash, api_token_id, session_id, lease_seconds, expires_at)
     values ($1, $2, $3, $4, $5, $6, 600, now() + interval '10 minutes') returning id`,
    [
      claim.userId,
      claim.taskId,
      claim.worker ?? 'a worker',
      storedSecret(secret),
      claim.apiTokenId ?? null,
      claim.sessionId ?? null,
    ],
  )
  await house.owner.query(
    `update app.tasks set status = 'processing', lease_id = $3, started_at = now() where user_id = $1 and id = $2`,
    [claim.userId, claim.taskId, id],
  )
  return { id, secret, authorization: `Bearer ${secret}`, credential: credentialOf(secret, 'rhl_') }
}

/** A lease for a new task of this user's that has no rows and says nothing. */
export async function createLeaseForNewTask(
  house: House,
  claim: { userId: string; apiTokenId?: string; sessionId?: string },
): Promise<Lease & { taskId: string }> {
  const taskId = await insertOne(
    house,
    `insert into app.tasks (user_id, title, prompt) values ($1, 'another', 'another') returning id`,
    [claim.userId],
  )
  return { ...(await createLease(house, { ...claim, taskId })), taskId }
}

/** What travels to the database for this actor's session. */
export function sessionCredential(actor: Pick<Actor, 'token'>): string {
  return `s:${digestSessionToken(actor.token.slice(0, actor.token.lastIndexOf('.')))}`
}

/** What travels to the database for this API token. */
export function tokenCredential({ token }: Pick<ActorToken, 'token'>): string {
  return `t:${hash('sha256', token, 'hex')}`
}

/** The ids of this user and of their rows. */
export function idsOf(household: Household): string[] {
  const { userId, sessionId, apiToken, lease, connectorId, connectionIds, eventId } = household
  const { organizationId, removedOrganizationId, sentInvitationId, receivedInvitationId } = household
  return [
    userId,
    organizationId,
    removedOrganizationId,
    sentInvitationId,
    receivedInvitationId,
    sessionId,
    apiToken.id,
    lease.id,
    connectorId,
    eventId,
    household.aiProviderId,
    household.approvalId,
    household.organizationApprovalId,
    household.mediaId,
    household.uploadId,
    household.removedMediaId,
    ...contentIdsOf(household),
    ...Object.values(connectionIds),
    ...workIdsOf(household),
  ]
}

/** The ids of this user's tasks and of what hangs on them. */
export function workIdsOf(household: Household): string[] {
  const { taskId, removedTaskId, stoppedTaskId, leasedTaskId, messageId, runId, toolCallId } = household
  const { leasedApprovalId, awaitingToolCallId } = household
  return [
    taskId,
    removedTaskId,
    stoppedTaskId,
    leasedTaskId,
    messageId,
    runId,
    toolCallId,
    leasedApprovalId,
    awaitingToolCallId,
  ]
}

/** The ids by which the rows of this user's leased task are found. */
export function workOf({ leasedTaskId, messageId, runId }: Household): string[] {
  return [leasedTaskId, messageId, runId]
}

/** Values that occur in this user's rows and in nobody else's. */
export function marksOf(household: Household): string[] {
  return [...idsOf(household), household.canary]
}

const CONNECTION_SETTINGS: Readonly<Record<ProviderName, ConnectionSettings>> = {
  notion: {},
  github: { accountLogin: 'ada', accountType: 'User', repositorySelection: 'all', isSuspended: false },
  slack: { teamName: 'a team' },
  linear: { organizationName: 'a workspace', urlKey: 'a-workspace' },
}

/** A connection whose tokens are the canary. */
async function createConnection(
  house: House,
  { userId, provider, canary }: { userId: string; provider: ProviderName; canary: string },
): Promise<string> {
  const id = newId()
  const tokens = { accessToken: canary, refreshToken: canary, expiresAt: null }
  const { accessToken, refreshToken } = sealTokens(house.services.keyring, { userId, id }, tokens)
  return insertOne(
    house,
    `insert into app.connections
       (user_id, id, provider, external_id, name, settings, access_token, refresh_token)
     values ($1, $2, $3, $4, $4, $5, $6, $7) returning id`,
    [userId, id, provider, canary, CONNECTION_SETTINGS[provider], accessToken, refreshToken],
  )
}

/** A flow to Linear that the session has begun. */
async function createOAuthState(
  house: House,
  { userId, sessionId, canary }: { userId: string; sessionId: string; canary: string },
): Promise<void> {
  const id = newId()
  const place = { table: 'app.oauth_states', column: 'code_verifier', ownerId: userId, rowId: id }
  await house.owner.query(
    `insert into app.oauth_states (user_id, id, session_id, state_hash, provider, code_verifier, return_to)
     values ($1, $2, $3, sha256(convert_to($4, 'UTF8')), 'linear', $5, 'http://localhost:3000/' || $4)`,
    [userId, id, sessionId, canary, seal(house.services.keyring, canary, place)],
  )
}

async function createEvent(
  house: House,
  { userId, connectionId, canary }: { userId: string; connectionId: string; canary: string },
): Promise<string> {
  const deliveryId = await insertOne(
    house,
    `insert into app.webhook_deliveries (provider, delivery_id, event_type, headers, payload)
     values ('github', $1, 'push', '{}', jsonb_build_object('ref', $1::text)) returning id`,
    [canary],
  )
  return insertOne(
    house,
    `insert into app.webhook_events
       (user_id, connection_id, delivery_id, provider, event_type, payload, status, attempts, next_attempt_at, last_error)
     values ($1, $2, $3, 'github', 'push', jsonb_build_object('ref', $4::text), 'dead', 10, null, 'it failed')
     returning id`,
    [userId, connectionId, deliveryId, canary],
  )
}

function contentIdsOf(household: Household): string[] {
  const { contentId, publishedContentId, removedContentId, sharedContentId } = household
  return [contentId, publishedContentId, removedContentId, sharedContentId]
}

/** Content whose slug is the canary behind its state. */
async function createContent(
  house: House,
  content: { userId: string; organizationId: string | null; mediaId: string | null; canary: string },
  state: 'draft' | 'published' | 'removed',
): Promise<string> {
  const { userId, organizationId, mediaId, canary } = content
  return insertOne(
    house,
    `insert into app.content
       (user_id, organization_id, media_item_id, title, slug, body, tags, content_type, status, published_at, deleted_at, deletion_id)
     values
       ($1, $2, $3, $4, $5 || '-' || $4, $4, array[$4], 'written', case $5 when 'published' then 'published' else 'draft' end,
        case $5 when 'published' then now() end, case $5 when 'removed' then now() end,
        case $5 when 'removed' then app.new_id() end)
     returning id`,
    [userId, organizationId, mediaId, canary, state],
  )
}

/** An item without a file in any store. */
async function createMediaItem(
  house: House,
  { userId, canary }: { userId: string; canary: string },
  state: 'uploading' | 'ready' | 'removed',
): Promise<string> {
  const id = await insertOne(
    house,
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, $2, 'image', 'image/png', $2 || '.png', 68) returning id`,
    [userId, canary],
  )
  if (state === 'uploading') return id
  await house.owner.query(
    `update app.media_items
     set
       status = 'ready', uploaded_at = now(), width = 1, height = 1,
       thumbnail_key = 'thumbnails/' || id::text || '/thumbnail.webp',
       deleted_at = case when $2 then now() end, deletion_id = case when $2 then app.new_id() end
     where id = $1`,
    [id, state === 'removed'],
  )
  return id
}

async function createTask(
  house: House,
  { userId, organizationId, canary }: { userId: string; organizationId: string; canary: string },
  state: string,
): Promise<string> {
  return insertOne(
    house,
    `insert into app.tasks
       (user_id, organization_id, title, prompt, last_log_seq, last_message_seq, status, deleted_at, deletion_id)
     values ($1, $2, $3, $3, 1, 1, ${state}) returning id`,
    [userId, organizationId, canary],
  )
}

/** A key to `anthropic` that is the canary, for the task to use. */
async function createKey(
  house: House,
  { userId, taskId, canary }: { userId: string; taskId: string; canary: string },
): Promise<void> {
  const id = newId()
  const value = seal(house.services.keyring, canary, keyPlace(userId, id))
  await run(house, [
    [
      `insert into app.provider_keys (user_id, id, provider, value, hint) values ($1, $2, 'anthropic', $3, '')`,
      [userId, id, value],
    ],
    [`insert into app.task_keys (user_id, task_id, provider) values ($1, $2, 'anthropic')`, [userId, taskId]],
  ])
}

/** A connector whose secrets are the canary, for the task to use. */
async function createConnector(
  house: House,
  { userId, taskId, canary }: { userId: string; taskId: string; canary: string },
): Promise<string> {
  const id = newId()
  const sealed = SECRET_FIELDS.map(field => {
    const text = field === 'env' || field === 'headers' ? JSON.stringify({ canary }) : canary
    return seal(house.services.keyring, text, connectorPlace(field, { ownerId: userId, rowId: id }))
  })
  await run(house, [
    [
      `insert into app.connectors
         (user_id, id, name, kind, url, env, headers, oauth_client_id, oauth_client_secret)
       values ($1, $2, $3, 'remote', 'https://127.0.0.1/', $4, $5, $6, $7)`,
      [userId, id, canary, ...sealed],
    ],
    [
      'insert into app.task_connectors (user_id, task_id, connector_id) values ($1, $2, $3)',
      [userId, taskId, id],
    ],
  ])
  return id
}

/** An AI provider whose credentials are the canary. */
async function createAiProvider(
  house: House,
  { organizationId, canary }: { organizationId: string; canary: string },
): Promise<string> {
  const id = newId()
  const credentials = seal(house.services.keyring, canary, aiProviderPlace(organizationId, id))
  return insertOne(
    house,
    `insert into app.ai_provider_configs (organization_id, id, name, provider, model, credentials, is_default)
     values ($1, $2, $3, 'anthropic', 'a model', $4, true) returning id`,
    [organizationId, id, canary, credentials],
  )
}

/** Pending approvals with their sequences, and a call that awaits one which nobody has requested. */
async function createApprovals(
  house: House,
  of: { userId: string; organizationId: string; leasedTaskId: string; runId: string; canary: string },
): Promise<
  Pick<Household, 'approvalId' | 'organizationApprovalId' | 'leasedApprovalId' | 'awaitingToolCallId'>
> {
  const { userId, organizationId, leasedTaskId, runId, canary } = of
  const [askingCallId, awaitingToolCallId] = await Promise.all(
    ['asking', 'awaiting'].map(call =>
      insertOne(
        house,
        `insert into app.tool_calls (user_id, run_id, call_id, tool, arguments, arguments_hash)
         values ($1, $2, $3, 'run_command', '{}', sha256('{}')) returning id`,
        [userId, runId, `${call}-${canary}`],
      ),
    ),
  )
  const approval = (columns: string, values: string, more: unknown[]) =>
    insertOne(
      house,
      `insert into app.approvals (user_id, kind, title, payload, payload_hash, requested_by, event_seq, ${columns})
       values ($1, 'deploy', $2, '{}', sha256('{}'), 'session', ${values}) returning id`,
      [userId, canary, ...more],
    )
  const approvalId = await approval('organization_id', '1, null', [])
  const organizationApprovalId = await approval('organization_id, organization_event_seq', '2, $3, 1', [
    organizationId,
  ])
  const leasedApprovalId = await approval(
    'task_id, tool_call_id, tool, arguments',
    `3, $3, $4, 'run_command', '{}'`,
    [leasedTaskId, askingCallId],
  )
  await run(house, [
    ['insert into app.approval_sequences (user_id, last_seq) values ($1, 3)', [userId]],
    [
      'insert into app.organization_approval_sequences (organization_id, last_seq) values ($1, 1)',
      [organizationId],
    ],
  ])
  return {
    approvalId,
    organizationApprovalId,
    leasedApprovalId,
    awaitingToolCallId: awaitingToolCallId ?? '',
  }
}

async function insertOne(house: House, sql: string, values: unknown[]): Promise<string> {
  const { rows } = await house.owner.query<{ id: string }>(sql, values)
  const [row] = rows
  if (!row) throw new Error('nothing was inserted')
  return row.id
}

async function run(house: House, statements: [sql: string, values: unknown[]][]): Promise<void> {
  for (const [sql, values] of statements) await house.owner.query(sql, values)
}
