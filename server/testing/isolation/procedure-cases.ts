import { randomUUID } from 'node:crypto'
import type { AnyProcedure, inferProcedureInput } from '@trpc/server'
import type { AppRouter } from '../../router.ts'
import type { Role } from '../actors.ts'
import type { Household } from './dataset.ts'

type Rooms = AppRouter['_def']['record']

type PathsOf<T, Prefix extends string = ''> = {
  [K in keyof T & string]: T[K] extends AnyProcedure ? `${Prefix}${K}` : PathsOf<T[K], `${Prefix}${K}.`>
}[keyof T & string]

type ProcedureAt<T, Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T
    ? ProcedureAt<T[Head], Rest>
    : never
  : Path extends keyof T
    ? T[Path]
    : never

/** Every procedure there is: `tasks.logs.append`. */
export type ProcedurePath = PathsOf<Rooms>

type InputOf<Path extends ProcedurePath> =
  ProcedureAt<Rooms, Path> extends infer P extends AnyProcedure ? inferProcedureInput<P> : never

export interface Case<Input = unknown> {
  /** A call that is the owner's to make, made of their ids; nothing where the procedure takes nothing. */
  readonly input: (owner: Household) => Input
  /**
   * What somebody else meets with the same input: `own` is an answer about themselves, since nothing in the input is the owner's;
   * `public` is the owner's answer, which is everyone's.
   */
  readonly stranger:
    | 'NOT_FOUND not_found'
    | 'FORBIDDEN not_a_member'
    | 'FORBIDDEN missing_scope'
    | 'own'
    | 'public'
    /** The same about the organization in which they act; to who acts in none, not_a_member. */
    | 'their organization’s'
  /** What those meet who belong to the owner's organization, where they meet something else than a stranger. */
  readonly colleague?: { readonly [R in Role]: 'OK' | 'FORBIDDEN role_too_low' }
  /** Whether it is about the organization in which the call acts, so that a colleague must name it. */
  readonly isActing?: true
  /** What the owner meets here, where that is no answer. */
  readonly owner?: typeof NO_PROVIDER | typeof COOKIES_ONLY | typeof ROLE_TOO_LOW | typeof NO_FILE
}

const NOT_FOUND = 'NOT_FOUND not_found'
/** What anyone meets who holds no lease. */
const LEASES_ONLY = 'FORBIDDEN missing_scope'
/** What the owner meets of an upload whose file has not arrived. */
const NO_FILE = 'CONFLICT illegal_transition'
const nothing = () => undefined
/** No provider is set up in the matrix: the call got as far as the outside world. */
const NO_PROVIDER = 'PRECONDITION_FAILED provider_not_configured'
/** What anyone meets who sends their session in a header. */
const COOKIES_ONLY = 'FORBIDDEN missing_scope'

const ROLE_TOO_LOW = 'FORBIDDEN role_too_low'
const MEMBERS = { owner: 'OK', admin: 'OK', member: 'OK' } as const
const ADMINS = { ...MEMBERS, member: ROLE_TOO_LOW } as const
const OWNERS = { ...ADMINS, admin: ROLE_TOO_LOW } as const
/** What is another member's own, whatever one's role. */
const NOBODY = { ...OWNERS, owner: ROLE_TOO_LOW } as const

function organization(owner: Household): { organizationId: string } {
  return { organizationId: owner.organizationId }
}

/**
 * One call or more a procedure. The type makes a procedure without a case an error of the compiler, and the matrix makes it a
 * failing test.
 */
export const CASES: { readonly [Path in ProcedurePath]: readonly Case<InputOf<Path>>[] } = {
  'account.me': [{ input: nothing, stranger: 'own' }],
  'account.sessions': [{ input: nothing, stranger: 'own' }],
  'account.revokeSession': [{ input: owner => ({ id: owner.sessionId }), stranger: NOT_FOUND }],
  'account.revokeOtherSessions': [{ input: nothing, stranger: 'own' }],
  'account.export': [{ input: nothing, stranger: 'own' }],
  'account.remove': [{ input: nothing, stranger: 'own' }],

  'apiTokens.create': [
    { input: () => ({ name: 'a token', scopes: ['tasks:read'] }), stranger: 'own' },
    {
      input: owner => ({ name: 'a token', scopes: ['tasks:read'], organizationId: owner.organizationId }),
      stranger: NOT_FOUND,
      colleague: MEMBERS,
    },
  ],
  'apiTokens.list': [{ input: nothing, stranger: 'own' }],
  'apiTokens.revoke': [{ input: owner => ({ id: owner.apiToken.id }), stranger: NOT_FOUND }],
  'apiTokens.rotate': [
    { input: owner => ({ id: owner.apiToken.id, graceSeconds: 60 }), stranger: NOT_FOUND },
  ],

  'organizations.create': [
    { input: () => ({ name: 'a team', slug: `team-${randomUUID()}` }), stranger: 'own' },
  ],
  'organizations.list': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],
  'organizations.get': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.update': [
    {
      input: owner => ({ ...organization(owner), name: 'a team', logo: null }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
    },
    {
      input: owner => ({ ...organization(owner), allowSelfApproval: true }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
    {
      input: owner => ({ ...organization(owner), requireTwoFactor: false }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.remove': [{ input: organization, stranger: NOT_FOUND, colleague: OWNERS }],
  'organizations.restore': [
    { input: owner => ({ organizationId: owner.removedOrganizationId }), stranger: NOT_FOUND },
  ],
  'organizations.leave': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.setActive': [
    { input: organization, stranger: NOT_FOUND, colleague: MEMBERS },
    { input: () => ({ organizationId: null }), stranger: 'own' },
  ],
  'organizations.members.list': [{ input: organization, stranger: NOT_FOUND, colleague: MEMBERS }],
  'organizations.members.updateRole': [
    {
      input: owner => ({ ...organization(owner), userId: owner.colleagueId, role: 'admin' }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.members.remove': [
    {
      input: owner => ({ ...organization(owner), userId: owner.colleagueId }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.invitations.create': [
    {
      input: owner => ({ ...organization(owner), email: 'a.friend@example.com', role: 'admin' }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
    },
    {
      input: owner => ({ ...organization(owner), email: 'an.heir@example.com', role: 'owner' }),
      stranger: NOT_FOUND,
      colleague: OWNERS,
    },
  ],
  'organizations.invitations.list': [
    { input: nothing, stranger: 'own' },
    { input: organization, stranger: NOT_FOUND, colleague: ADMINS },
  ],
  'organizations.invitations.cancel': [
    { input: owner => ({ id: owner.sentInvitationId }), stranger: NOT_FOUND, colleague: ADMINS },
  ],
  'organizations.invitations.accept': [
    { input: owner => ({ id: owner.receivedInvitationId }), stranger: NOT_FOUND },
  ],
  'organizations.invitations.decline': [
    { input: owner => ({ id: owner.receivedInvitationId }), stranger: NOT_FOUND },
  ],

  'aiProviders.create': [
    {
      input: () => ({
        name: 'a provider',
        provider: 'anthropic',
        model: 'a model',
        credentials: 'a secret',
        limits: { tokensPerDay: 1_000 },
      }),
      stranger: 'their organization’s',
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.list': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],
  'aiProviders.update': [
    {
      input: owner => ({ id: owner.aiProviderId, model: 'another model', credentials: null }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.setDefault': [
    {
      input: owner => ({ id: owner.aiProviderId }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],
  'aiProviders.remove': [
    {
      input: owner => ({ id: owner.aiProviderId }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      isActing: true,
    },
  ],

  'approvals.request': [
    {
      input: () => ({ kind: 'deploy', title: 'may it?', payload: { to: 'production' } }),
      stranger: 'own',
      colleague: MEMBERS,
    },
    {
      input: owner => ({
        kind: 'tool_call',
        title: 'may it?',
        payload: null,
        toolCallId: owner.awaitingToolCallId,
        priority: 'urgent',
      }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({ kind: 'deploy', title: 'may it?', payload: {}, ...organization(owner) }),
      stranger: NOT_FOUND,
      colleague: MEMBERS,
    },
  ],
  'approvals.list': [
    { input: nothing, stranger: 'own', colleague: MEMBERS },
    {
      input: owner => ({ status: 'pending', cursor: `urgent:${owner.approvalId}` }),
      stranger: 'own',
      colleague: MEMBERS,
    },
  ],
  'approvals.get': [{ input: owner => ({ id: owner.leasedApprovalId }), stranger: NOT_FOUND }],
  'approvals.decide': [
    { input: owner => ({ id: owner.approvalId, decision: 'approve' }), stranger: NOT_FOUND },
    {
      input: owner => ({ id: owner.leasedApprovalId, decision: 'reject', note: 'no' }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({ id: owner.organizationApprovalId, decision: 'approve' }),
      stranger: NOT_FOUND,
      colleague: ADMINS,
      owner: ROLE_TOO_LOW,
    },
  ],
  'approvals.cancel': [
    { input: owner => ({ id: owner.approvalId }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.organizationApprovalId }), stranger: NOT_FOUND, colleague: NOBODY },
  ],
  'approvals.stream': [{ input: nothing, stranger: 'own', colleague: MEMBERS }],

  'connectors.create': [
    {
      input: () => ({
        kind: 'remote',
        name: 'a connector',
        url: 'https://mcp.example.com/',
        headers: { authorization: 'Bearer a secret' },
      }),
      stranger: 'own',
    },
    { input: () => ({ kind: 'local', name: 'a connector', command: 'mcp-server' }), stranger: 'own' },
  ],
  'connectors.list': [{ input: nothing, stranger: 'own' }],
  'connectors.get': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],
  'connectors.update': [
    { input: owner => ({ id: owner.connectorId, name: 'a name' }), stranger: NOT_FOUND },
    {
      input: owner => ({ id: owner.connectorId, env: { TOKEN: 'a secret' }, headers: null }),
      stranger: NOT_FOUND,
    },
    { input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND },
  ],
  // An answer all the same: its address is refused, without asking anybody.
  'connectors.test': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],
  'connectors.remove': [{ input: owner => ({ id: owner.connectorId }), stranger: NOT_FOUND }],

  'connections.providers': [{ input: nothing, stranger: 'own' }],
  'connections.list': [{ input: nothing, stranger: 'own' }],
  'connections.authorize': [
    {
      input: () => ({ provider: 'notion', returnTo: '/settings' }),
      stranger: COOKIES_ONLY,
      owner: COOKIES_ONLY,
    },
  ],
  'connections.disconnect': [{ input: owner => ({ id: owner.connectionIds.notion }), stranger: NOT_FOUND }],
  'connections.notion.databases': [
    {
      input: owner => ({ connectionId: owner.connectionIds.notion, search: 'plans' }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.notion.selectDatabase': [
    {
      input: owner => ({
        connectionId: owner.connectionIds.notion,
        databaseId: '0198c0de-0000-7000-8000-000000000000',
      }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.github.repositories': [
    {
      input: owner => ({ connectionId: owner.connectionIds.github }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.slack.channels': [
    {
      input: owner => ({ connectionId: owner.connectionIds.slack }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],
  'connections.linear.teams': [
    {
      input: owner => ({ connectionId: owner.connectionIds.linear }),
      stranger: NOT_FOUND,
      owner: NO_PROVIDER,
    },
  ],

  'keys.set': [
    { input: () => ({ provider: 'anthropic', value: 'a key' }), stranger: 'own' },
    { input: () => ({ provider: 'openai', value: 'a key' }), stranger: 'own' },
  ],
  'keys.list': [{ input: nothing, stranger: 'own' }],
  'keys.remove': [{ input: () => ({ provider: 'anthropic' }), stranger: NOT_FOUND }],
  'keys.reveal': [{ input: () => ({ provider: 'anthropic' }), stranger: NOT_FOUND }],

  'content.create': [
    { input: () => ({ title: 'a title', contentType: 'written' }), stranger: 'own' },
    {
      input: owner => ({ title: 'with a file', contentType: 'written', mediaItemId: owner.mediaId }),
      stranger: NOT_FOUND,
    },
    {
      input: owner => ({
        title: 'a title',
        contentType: 'written',
        organizationId: owner.organizationId,
        slug: 'a-slug',
      }),
      stranger: 'FORBIDDEN not_a_member',
      colleague: MEMBERS,
    },
  ],
  'content.get': [{ input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND }],
  'content.list': [
    { input: nothing, stranger: 'own', colleague: MEMBERS },
    { input: owner => ({ search: owner.canary, deleted: 'include' }), stranger: 'own', colleague: MEMBERS },
    {
      input: owner => ({ cursor: owner.removedContentId, tags: [owner.canary] }),
      stranger: 'own',
      colleague: MEMBERS,
    },
    {
      input: owner => ({ organizationId: owner.organizationId, page: 1 }),
      stranger: 'own',
      colleague: MEMBERS,
    },
  ],
  'content.update': [
    { input: owner => ({ id: owner.contentId, title: 'a title', body: null }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.contentId, mediaItemId: owner.mediaId }), stranger: NOT_FOUND },
  ],
  'content.publish': [{ input: owner => ({ id: owner.contentId }), stranger: NOT_FOUND }],
  'content.unpublish': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.archive': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.remove': [{ input: owner => ({ id: owner.publishedContentId }), stranger: NOT_FOUND }],
  'content.restore': [{ input: owner => ({ id: owner.removedContentId }), stranger: NOT_FOUND }],
  'content.published': [
    { input: nothing, stranger: 'public' },
    { input: owner => ({ creatorId: owner.userId, search: owner.canary }), stranger: 'public' },
  ],
  'content.bySlug': [
    {
      input: owner => ({ slug: `published-${owner.canary}`, creatorId: owner.userId }),
      stranger: 'public',
    },
  ],

  'events.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ cursor: owner.eventId, provider: 'github', status: 'dead' }), stranger: 'own' },
  ],
  'events.get': [{ input: owner => ({ id: owner.eventId }), stranger: NOT_FOUND }],
  'events.replay': [{ input: owner => ({ id: owner.eventId }), stranger: NOT_FOUND }],

  'media.createUpload': [
    {
      input: () => ({
        title: 'a picture',
        mediaType: 'image',
        mimeType: 'image/png',
        fileSizeBytes: 68,
        fileName: 'a picture.png',
      }),
      stranger: 'own',
    },
  ],
  'media.completeUpload': [{ input: owner => ({ id: owner.uploadId }), stranger: NOT_FOUND, owner: NO_FILE }],
  'media.list': [
    { input: nothing, stranger: 'own' },
    { input: () => ({ mediaType: 'image', deleted: 'only' }), stranger: 'own' },
  ],
  'media.get': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],
  'media.update': [
    { input: owner => ({ id: owner.mediaId, title: 'a title' }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND },
  ],
  'media.remove': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],
  'media.restore': [{ input: owner => ({ id: owner.removedMediaId }), stranger: NOT_FOUND }],
  'media.downloadUrl': [{ input: owner => ({ id: owner.mediaId }), stranger: NOT_FOUND }],

  'runs.start': [
    { input: () => ({ agent: 'an agent' }), stranger: 'own' },
    { input: owner => ({ taskId: owner.taskId, agent: 'an agent' }), stranger: NOT_FOUND },
  ],
  'runs.finish': [
    { input: owner => ({ id: owner.runId, status: 'completed', output: 'done' }), stranger: NOT_FOUND },
  ],
  'runs.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ cursor: owner.runId }), stranger: 'own' },
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, status: 'running' }), stranger: NOT_FOUND },
  ],
  'runs.get': [{ input: owner => ({ id: owner.runId }), stranger: NOT_FOUND }],
  'runs.toolCalls.start': [
    {
      input: owner => ({ runId: owner.runId, callId: 'a call', tool: 'read_file', arguments: {} }),
      stranger: NOT_FOUND,
    },
    {
      // The very call that is there.
      input: owner => ({ runId: owner.runId, callId: owner.canary, tool: 'read_file', arguments: {} }),
      stranger: NOT_FOUND,
    },
  ],
  'runs.toolCalls.finish': [
    { input: owner => ({ id: owner.toolCallId, status: 'succeeded', result: 'done' }), stranger: NOT_FOUND },
  ],
  'runs.toolCalls.list': [
    { input: owner => ({ runId: owner.runId }), stranger: NOT_FOUND },
    { input: owner => ({ runId: owner.runId, cursor: owner.toolCallId }), stranger: NOT_FOUND },
  ],

  'settings.all': [{ input: nothing, stranger: 'own' }],
  'settings.get': [{ input: () => ({ key: 'locale' }), stranger: 'own' }],
  'settings.set': [{ input: () => ({ key: 'theme', value: 'dark' }), stranger: 'own' }],
  'settings.unset': [{ input: () => ({ key: 'locale' }), stranger: 'own' }],

  'tasks.create': [
    { input: () => ({ prompt: 'a prompt' }), stranger: 'own' },
    {
      input: owner => ({ prompt: 'a prompt', organizationId: owner.organizationId }),
      stranger: 'FORBIDDEN not_a_member',
      colleague: MEMBERS,
    },
    { input: () => ({ prompt: 'a prompt', keyProviders: ['anthropic', 'openai'] }), stranger: 'own' },
    {
      input: owner => ({
        prompt: 'a prompt',
        connectorIds: [owner.connectorId],
        keyProviders: ['anthropic'],
      }),
      stranger: NOT_FOUND,
    },
  ],
  'tasks.get': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.list': [
    { input: nothing, stranger: 'own' },
    { input: owner => ({ search: owner.canary, deleted: 'include' }), stranger: 'own' },
    { input: owner => ({ cursor: owner.stoppedTaskId, deleted: 'include' }), stranger: 'own' },
  ],
  'tasks.update': [
    { input: owner => ({ id: owner.taskId, title: 'a title', progress: 50 }), stranger: NOT_FOUND },
    { input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND },
  ],
  'tasks.stop': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.retry': [{ input: owner => ({ id: owner.stoppedTaskId }), stranger: NOT_FOUND }],
  'tasks.remove': [{ input: owner => ({ id: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.restore': [{ input: owner => ({ id: owner.removedTaskId }), stranger: NOT_FOUND }],
  'tasks.claim': [{ input: () => ({ worker: 'a worker' }), stranger: 'own' }],
  'tasks.heartbeat': [{ input: nothing, stranger: LEASES_ONLY }],
  'tasks.complete': [
    { input: nothing, stranger: LEASES_ONLY },
    { input: () => ({ result: 'done' }), stranger: LEASES_ONLY },
  ],
  'tasks.secrets': [{ input: nothing, stranger: LEASES_ONLY }],
  'tasks.fail': [{ input: () => ({ error: 'it broke' }), stranger: LEASES_ONLY }],
  'tasks.logs.append': [
    {
      input: owner => ({ taskId: owner.taskId, entries: [{ type: 'info', message: 'a line' }] }),
      stranger: NOT_FOUND,
    },
  ],
  'tasks.logs.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.logs.stream': [
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, lastEventId: '0' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.send': [
    { input: owner => ({ taskId: owner.taskId, content: 'a message' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.list': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.messages.start': [{ input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND }],
  'tasks.messages.append': [
    {
      input: owner => ({ id: owner.messageId, offset: owner.canary.length, delta: 'more' }),
      stranger: NOT_FOUND,
    },
    // An earlier attempt's, which changes nothing.
    { input: owner => ({ id: owner.messageId, offset: 0, delta: 'canary' }), stranger: NOT_FOUND },
  ],
  'tasks.messages.finish': [{ input: owner => ({ id: owner.messageId }), stranger: NOT_FOUND }],
  'tasks.messages.stream': [
    { input: owner => ({ taskId: owner.taskId }), stranger: NOT_FOUND },
    { input: owner => ({ taskId: owner.leasedTaskId, lastEventId: '1' }), stranger: NOT_FOUND },
  ],

  'tools.list': [{ input: nothing, stranger: 'own' }],
  'tools.enable': [
    { input: () => ({ slug: 'write_file' }), stranger: 'own' },
    { input: () => ({ slug: 'write_file', config: { protectedPaths: ['.git'] } }), stranger: 'own' },
  ],
  'tools.disable': [{ input: () => ({ slug: 'write_file' }), stranger: 'own' }],

  'usage.today': [{ input: nothing, stranger: 'own' }],
}
