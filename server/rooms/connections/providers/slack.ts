import type { LogLevel, WebClient, WebClientOptions } from '@slack/web-api'
import { z } from 'zod'
import type { Identity } from '#server/db/identity.ts'
import { slack as slackWebhook } from '#server/webhooks/providers/slack.ts'
import { type OAuthApp, readOAuthApp } from '../app.ts'
import { type Grant, type Provider, ProviderError } from '../provider.ts'
import type { ConnectionSettings, SlackChannel } from '../schema.ts'
import { readAnswer, readBounded, revokeOrRenew, tokensOf, UPSTREAM_TIMEOUT_MS } from '../upstream.ts'

const PAGE_SIZE = 1_000
const MAX_PAGES = 10
const LISTING_TIMEOUT_MS = 3 * UPSTREAM_TIMEOUT_MS
const DEFAULT_RETRY_SECONDS = 60

// The codes of a token that has ended. An expired token and a revoked one need the same: a refresh, or
// connecting again.
const ENDED = new Set([
  'account_inactive',
  'app_uninstalled',
  'invalid_auth',
  'invalid_refresh_token',
  'not_authed',
  'team_access_not_granted',
  'token_expired',
  'token_revoked',
])
const PASSING = new Set(['fatal_error', 'internal_error', 'request_timeout', 'service_unavailable'])

const team = z.object({ id: z.string().min(1), name: z.string().nullish() })
const issuedTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
})
const installed = issuedTokens.extend({
  scope: z.string(),
  bot_user_id: z.string().optional(),
  team: team.nullish(),
  enterprise: team.nullish(),
})
const channelPage = z.object({
  channels: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      is_private: z.boolean().default(false),
      is_member: z.boolean().default(false),
    }),
  ),
  response_metadata: z.object({ next_cursor: z.string().optional() }).optional(),
})

/**
 * Slack workspaces, with the bot's token, which expires if the operator turned on token rotation for the app.
 */
export const slack: Provider = {
  name: 'slack',
  title: 'Slack',
  scopes: ['app_mentions:read', 'channels:read', 'groups:read'],
  // Slack allows PKCE only for apps registered as public clients, which have no secret.
  hasPkce: false,
  // An app has one bot in a workspace.
  sharesGrant: true,
  webhook: slackWebhook,
  readApp: reader =>
    readOAuthApp(reader, 'SLACK', { apiUrl: 'https://slack.com', webUrl: 'https://slack.com' }),
  authorizeUrl({ webUrl, clientId }, { state, redirectUri }) {
    const url = new URL(`${webUrl}/oauth/v2/authorize`)
    url.searchParams.set('client_id', clientId)
    url.searchParams.set('scope', slack.scopes.join(','))
    url.searchParams.set('redirect_uri', redirectUri)
    url.searchParams.set('state', state)
    return url
  },
  async exchangeCode(identity, app, { code, redirectUri }) {
    const client = await clientFor(app)
    const answer = await call(identity, () =>
      client.oauth.v2.access({
        client_id: app.clientId,
        client_secret: app.clientSecret,
        code,
        redirect_uri: redirectUri,
      }),
    )
    return grantOf(readAnswer('slack', installed, answer))
  },
  async refresh(identity, app, { refreshToken }) {
    if (refreshToken === null)
      throw new ProviderError('slack', 'revoked', { reason: 'invalid_refresh_token' })
    const client = await clientFor(app)
    const answer = await call(identity, () =>
      client.oauth.v2.access({
        client_id: app.clientId,
        client_secret: app.clientSecret,
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
      }),
    )
    return tokensOf(readAnswer('slack', issuedTokens, answer))
  },
  revoke: (identity, app, held) =>
    revokeOrRenew(held, {
      revoke: accessToken => revokeToken(identity, app, accessToken),
      refresh: () => slack.refresh(identity, app, held),
    }),
}

/**
 * Lists the first 10,000 channels that are not archived: all public ones, and the private ones that the bot
 * is in.
 */
export async function listChannels(
  identity: Identity,
  app: OAuthApp,
  { accessToken }: { accessToken: string },
): Promise<SlackChannel[]> {
  const client = await clientFor(app, accessToken)
  const deadline = Date.now() + LISTING_TIMEOUT_MS
  const channels: SlackChannel[] = []
  let cursor: string | undefined
  for (let page = 0; page < MAX_PAGES; page += 1) {
    if (Date.now() > deadline) throw new ProviderError('slack', 'unreachable', { reason: 'took too long' })
    const answer = await call(identity, () =>
      client.conversations.list({
        types: 'public_channel,private_channel',
        exclude_archived: true,
        limit: PAGE_SIZE,
        ...(cursor && { cursor }),
      }),
    )
    const { channels: found, response_metadata: metadata } = readAnswer('slack', channelPage, answer)
    channels.push(
      ...found.map(one => ({
        id: one.id,
        name: one.name,
        isPrivate: one.is_private,
        isMember: one.is_member,
      })),
    )
    cursor = metadata?.next_cursor
    if (!cursor) break
  }
  return channels
}

function grantOf({ team, enterprise, scope, bot_user_id, ...issued }: z.output<typeof installed>): Grant {
  // An organization-wide installation has no workspace.
  const place = team ?? enterprise
  if (!place) throw new ProviderError('slack', 'unreachable', { reason: 'answered without a team' })
  const settings: ConnectionSettings<'slack'> = {
    teamName: place.name ?? place.id,
    ...(bot_user_id !== undefined && { botUserId: bot_user_id }),
  }
  return {
    ...tokensOf(issued),
    externalId: place.id,
    name: settings.teamName,
    icon: null,
    scopes: scope.split(',').filter(Boolean),
    botId: bot_user_id ?? null,
    settings,
  }
}

/** Returns false if the token had already ended. */
async function revokeToken(identity: Identity, app: OAuthApp, accessToken: string): Promise<boolean> {
  const client = await clientFor(app, accessToken)
  try {
    await call(identity, () => client.auth.revoke({}))
    return true
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'revoked') return false
    throw error
  }
}

async function clientFor({ apiUrl }: OAuthApp, accessToken?: string): Promise<WebClient> {
  const { WebClient } = await import('@slack/web-api')
  return new WebClient(accessToken, {
    slackApiUrl: `${apiUrl}/api/`,
    allowAbsoluteUrls: false,
    timeout: UPSTREAM_TIMEOUT_MS,
    // No retries: the caller decides whether to try again.
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logger: SILENT,
    fetch: fetchBounded,
  })
}

// The client reads a body of any size, and reports a 429 without `Retry-After` as a failed request.
const fetchBounded: typeof fetch = async (url, init) => {
  const response = await fetch(url, init)
  const headers = new Headers(response.headers)
  if (response.status === 429 && !/^\d+$/.test(headers.get('retry-after') ?? '')) {
    headers.set('retry-after', String(DEFAULT_RETRY_SECONDS))
  }
  const { status, statusText } = response
  return new Response(await readBounded(response), { status, statusText, headers })
}

// The client would log to the console, including warnings about failed requests.
const SILENT: NonNullable<WebClientOptions['logger']> = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  setLevel() {},
  getLevel: () => 'error' as LogLevel,
  setName() {},
}

async function call<T>(_identity: Identity, request: () => Promise<T>): Promise<T> {
  try {
    return await request()
  } catch (error) {
    throw await translate(error)
  }
}

// The client's error may contain the request or the whole answer, so it must not become the `cause`.
async function translate(error: unknown): Promise<ProviderError> {
  const { WebAPIHTTPError, WebAPIPlatformError, WebAPIRateLimitedError } = await import('@slack/web-api')
  if (error instanceof WebAPIRateLimitedError) return limited(error.retryAfter)
  if (error instanceof WebAPIHTTPError) {
    return new ProviderError('slack', 'unreachable', { reason: `answered ${error.statusCode}` })
  }
  if (!(error instanceof WebAPIPlatformError)) return new ProviderError('slack', 'unreachable')
  const { error: reason } = error.data
  // The client reports an answer that is not JSON as if its text were an error code.
  if (typeof reason !== 'string' || !/^[a-z_]{1,64}$/.test(reason)) {
    return new ProviderError('slack', 'unreachable', { reason: 'answered something unexpected' })
  }
  if (reason === 'ratelimited' || reason === 'rate_limited') return limited(DEFAULT_RETRY_SECONDS)
  if (ENDED.has(reason)) return new ProviderError('slack', 'revoked', { reason })
  return new ProviderError('slack', PASSING.has(reason) ? 'unreachable' : 'refused', { reason })
}

function limited(waitSeconds: number): ProviderError {
  return new ProviderError('slack', 'rate_limited', { retryAt: new Date(Date.now() + waitSeconds * 1_000) })
}
