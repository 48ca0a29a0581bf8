import { z } from 'zod'
import type { Identity } from '#server/db/identity.ts'
import { linear as linearWebhook } from '#server/webhooks/providers/linear.ts'
import { type OAuthApp, readOAuthApp } from '../app.ts'
import { type Provider, ProviderError, type Tokens } from '../provider.ts'
import type { ConnectionSettings, LinearTeam } from '../schema.ts'
import { callUpstream, readAnswer, retryAt, tokensOf, type UpstreamAnswer } from '../upstream.ts'

const PAGE_SIZE = 100
const MAX_PAGES = 10

const issuedTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
  scope: z.union([z.string(), z.array(z.string())]).optional(),
})
const tokenRefusal = z.object({ error: z.string() })
const graphqlFailure = z.object({
  errors: z.array(z.object({ extensions: z.object({ code: z.string().optional() }).optional() })).min(1),
})
const graphqlAnswer = z.object({ data: z.unknown() })
const workspace = z.object({
  organization: z.object({
    id: z.string().min(1),
    name: z.string(),
    urlKey: z.string(),
    logoUrl: z.string().nullish(),
  }),
  viewer: z.object({ id: z.string() }),
})
const teamPage = z.object({
  teams: z.object({
    nodes: z.array(z.object({ id: z.string(), key: z.string(), name: z.string() })),
    pageInfo: z.object({ hasNextPage: z.boolean(), endCursor: z.string().nullish() }),
  }),
})

const WORKSPACE = 'query { organization { id name urlKey logoUrl } viewer { id } }'
const TEAMS = `query ($first: Int!, $after: String) {
  teams(first: $first, after: $after) { nodes { id key name } pageInfo { hasNextPage endCursor } }
}`

/** Linear workspaces, with a member's token, which expires and is refreshed. */
export const linear: Provider = {
  name: 'linear',
  title: 'Linear',
  scopes: ['read', 'write'],
  hasPkce: true,
  webhook: linearWebhook,
  readApp: reader =>
    readOAuthApp(reader, 'LINEAR', { apiUrl: 'https://api.linear.app', webUrl: 'https://linear.app' }),
  async authorizeUrl({ webUrl, clientId }, { state, codeVerifier, redirectUri }) {
    if (codeVerifier === null) throw new Error('a Linear flow needs a PKCE verifier')
    const { CodeChallengeMethod, OAuth2Client } = await import('arctic')
    const client = new OAuth2Client(clientId, null, redirectUri)
    const endpoint = `${webUrl}/oauth/authorize`
    const url = client.createAuthorizationURLWithPKCE(
      endpoint,
      state,
      CodeChallengeMethod.S256,
      codeVerifier,
      [],
    )
    url.searchParams.set('scope', linear.scopes.join(','))
    // Without `consent`, Linear reuses the user's last workspace.
    url.searchParams.set('prompt', 'consent')
    return url
  },
  async exchangeCode(identity, app, { code, codeVerifier, redirectUri }) {
    const { scopes, ...tokens } = await requestTokens(identity, app, {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: codeVerifier ?? '',
    })
    const { organization, viewer } = await query(identity, app, {
      accessToken: tokens.accessToken,
      query: WORKSPACE,
      schema: workspace,
    })
    const settings: ConnectionSettings<'linear'> = {
      organizationName: organization.name,
      urlKey: organization.urlKey,
    }
    return {
      ...tokens,
      externalId: organization.id,
      name: organization.name,
      icon: organization.logoUrl ?? null,
      scopes,
      botId: viewer.id,
      settings,
    }
  },
  async refresh(identity, app, { refreshToken }) {
    if (refreshToken === null) throw new ProviderError('linear', 'revoked', { reason: 'no_refresh_token' })
    const fields = { grant_type: 'refresh_token', refresh_token: refreshToken }
    const { accessToken, refreshToken: next, expiresAt } = await requestTokens(identity, app, fields)
    return { accessToken, refreshToken: next ?? refreshToken, expiresAt }
  },
  async revoke(identity, app, { accessToken, refreshToken }) {
    if (refreshToken !== null)
      await revokeToken(identity, app, { token: refreshToken, hint: 'refresh_token' })
    if (accessToken !== null) await revokeToken(identity, app, { token: accessToken, hint: 'access_token' })
  },
}

/** Lists the first 1,000 teams that the user can access. */
export async function listTeams(
  identity: Identity,
  app: OAuthApp,
  { accessToken }: { accessToken: string },
): Promise<LinearTeam[]> {
  const found: LinearTeam[] = []
  let after: string | null = null
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { teams }: z.output<typeof teamPage> = await query(identity, app, {
      accessToken,
      query: TEAMS,
      variables: { first: PAGE_SIZE, after },
      schema: teamPage,
    })
    found.push(...teams.nodes)
    after = teams.pageInfo.endCursor ?? null
    if (!teams.pageInfo.hasNextPage || after === null) break
  }
  return found
}

async function requestTokens(
  identity: Identity,
  app: OAuthApp,
  fields: Readonly<Record<string, string>>,
): Promise<Tokens & { accessToken: string; scopes: string[] }> {
  const answer = await callUpstream(identity, 'linear', {
    method: 'POST',
    url: `${app.apiUrl}/oauth/token`,
    body: new URLSearchParams({ client_id: app.clientId, client_secret: app.clientSecret, ...fields }),
  })
  if (answer.status >= 400) {
    const reason = word(tokenRefusal.safeParse(answer.body).data?.error)
    // A used code does not mean that the grant was revoked; a used refresh token does.
    const hasEnded = reason === 'invalid_grant' && fields.grant_type === 'refresh_token'
    throw new ProviderError('linear', hasEnded ? 'revoked' : 'refused', { reason })
  }
  const { scope = [], ...issued } = readAnswer('linear', issuedTokens, answer.body)
  return {
    ...tokensOf(issued),
    scopes: typeof scope === 'string' ? scope.split(/[\s,]+/).filter(Boolean) : scope,
  }
}

/** Status 400 or 401 means that the token had already ended, which is as good. */
async function revokeToken(
  identity: Identity,
  app: OAuthApp,
  { token, hint }: { token: string; hint: 'access_token' | 'refresh_token' },
): Promise<void> {
  const { status } = await callUpstream(identity, 'linear', {
    method: 'POST',
    url: `${app.apiUrl}/oauth/revoke`,
    body: new URLSearchParams({
      token,
      token_type_hint: hint,
      client_id: app.clientId,
      client_secret: app.clientSecret,
    }),
  })
  if (status >= 300 && status !== 400 && status !== 401) {
    throw new ProviderError('linear', 'unreachable', { reason: `answered ${status}` })
  }
}

async function query<T extends z.core.$ZodType>(
  identity: Identity,
  app: OAuthApp,
  request: { accessToken: string; query: string; variables?: Record<string, unknown>; schema: T },
): Promise<z.output<T>> {
  const answer = await callUpstream(identity, 'linear', {
    method: 'POST',
    url: `${app.apiUrl}/graphql`,
    headers: { authorization: `Bearer ${request.accessToken}` },
    body: { query: request.query, variables: request.variables ?? {} },
  })
  const failure = graphqlFailure.safeParse(answer.body).data
  if (failure || answer.status >= 400) throw failureOf(answer, failure?.errors[0]?.extensions?.code)
  return readAnswer('linear', request.schema, graphqlAnswer.safeParse(answer.body).data?.data)
}

// GraphQL reports errors in the body, and a rate limit with status 400.
function failureOf({ status, headers }: UpstreamAnswer, code: string | undefined): ProviderError {
  if (code === 'RATELIMITED')
    return new ProviderError('linear', 'rate_limited', { retryAt: limitEnd(headers) })
  if (status === 401 || code === 'AUTHENTICATION_ERROR')
    return new ProviderError('linear', 'revoked', { reason: 'authentication_error' })
  return new ProviderError('linear', 'refused', { reason: word(code?.toLowerCase()) })
}

function limitEnd(headers: Headers): Date {
  // In milliseconds since 1970; Linear sends one header for each limit.
  const resets = ['x-ratelimit-requests-reset', 'x-ratelimit-complexity-reset'].map(name =>
    Number(headers.get(name)),
  )
  const next = Math.min(...resets.filter(ms => ms > Date.now()))
  return Number.isFinite(next) && !headers.has('retry-after') ? new Date(next) : retryAt(headers)
}

/** Returns a provider's error code, or `unknown` for longer text, which might contain what was sent. */
function word(text: string | undefined): string {
  return text !== undefined && /^[a-z_ ]{1,64}$/.test(text) ? text.replaceAll(' ', '_') : 'unknown'
}
