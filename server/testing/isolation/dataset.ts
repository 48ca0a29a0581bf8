import { hash, randomBytes } from 'node:crypto'
import { digestSessionToken } from '#server/auth/session-token.ts'
import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import {
  type Actor,
  type ActorToken,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
} from '../actors.ts'
import { createConnection, createEvent, createOAuthState } from './dataset-connections.ts'
import { createContent, createMediaItem } from './dataset-content.ts'
import type { Lease } from './dataset-leases.ts'
import { run } from './dataset-rows.ts'
import { createAiProvider, createConnector, createKey } from './dataset-secrets.ts'
import { createWork } from './dataset-work.ts'

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
  /**
   * Pending: their own, one in their organization, and one for a call of the leased task's, which awaits
   * another call.
   */
  readonly approvalId: string
  readonly organizationApprovalId: string
  readonly leasedApprovalId: string
  readonly awaitingToolCallId: string
  /** An image that is ready, an upload that has begun, and an image that was removed. */
  readonly mediaId: string
  /**
   * A draft of their own, what they published, what they removed, and what they wrote for their organization.
   */
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

/** Makes a user who has something in every table, in an organization of their own. */
export async function createHousehold(house: House, name: string): Promise<Household> {
  const actor = await createActor(house, { name })
  const colleague = await createActor(house, { name: 'Colleague' })
  const { id: organizationId } = await createOrganization(actor, [{ actor: colleague, role: 'owner' }])
  const apiToken = await createApiToken(actor, { scopes: ['tasks:write', 'settings:write'], organizationId })
  // A language tag too, since one setting holds a canary as its locale.
  const canary = `canary-x-${[1, 2, 3].map(() => randomBytes(4).toString('hex')).join('-')}`
  const { userId } = actor
  const { id: removedOrganizationId } = await createOrganization(actor)
  const host = await createActor(house, { name: 'Host' })
  const { id: hostsId } = await createOrganization(host)
  const [sentInvitationId, receivedInvitationId] = await Promise.all([
    createInvitation(actor, { organizationId, email: `${canary}@example.com` }),
    createInvitation(host, { organizationId: hostsId, email: actor.email }),
  ])

  const work = await createWork(house, { userId, organizationId, canary })
  const { leasedTaskId } = work
  const connectionIds = {} as Record<ProviderName, string>
  for (const provider of PROVIDERS)
    connectionIds[provider] = await createConnection(house, { userId, provider, canary })
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
  await run(house, [
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
      `insert into app.held_places (holder, process_id, count, expires_at)
       values ($1, gen_random_uuid(), 1, now() + interval '1 hour')`,
      [canary],
    ],
    [
      `insert into app.keyring_checks (key_id, value) values (md5($1), 'rh1.' || md5($1) || '.sealed-' || $1)`,
      [canary],
    ],
    [
      `insert into app.erasures (parent, key, due_at) values ('auth.users', jsonb_build_object('id', $1::text), 'infinity')`,
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
    ...work,
    connectorId,
    connectionId,
    connectionIds,
    eventId,
    aiProviderId,
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

/** Takes most of it away again: what is compared row by row is slow to compare where there is much of it. */
export async function removeHousehold(house: House, { userId, organizationId }: Household): Promise<void> {
  await run(house, [
    ['delete from auth.organizations where id = $1', [organizationId]],
    ['delete from auth.users where id = $1', [userId]],
  ])
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

function contentIdsOf(household: Household): string[] {
  const { contentId, publishedContentId, removedContentId, sharedContentId } = household
  return [contentId, publishedContentId, removedContentId, sharedContentId]
}
