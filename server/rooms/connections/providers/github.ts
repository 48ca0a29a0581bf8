import { z } from 'zod'
import type { Identity } from '#server/db/identity.ts'
import { github as githubWebhook } from '#server/webhooks/providers/github.ts'
import { type CallbackInput, type Provider, ProviderError, type Tokens } from '../provider.ts'
import type { ConnectionSettings, GitHubRepository } from '../schema.ts'
import {
  callUpstream,
  readAnswer,
  retryAt,
  revokeOrRenew,
  tokensOf,
  type UpstreamAnswer,
  type UpstreamRequest,
} from '../upstream.ts'
import { type GitHubApp, readGitHubApp } from './github-app.ts'

const PAGE_SIZE = 100
const MAX_PAGES = 20

const API_HEADERS = { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' }

const issuedTokens = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
})
const tokenRefusal = z.object({ error: z.string() })
const installationPage = z.object({
  installations: z.array(
    z.object({
      id: z.number(),
      // An enterprise has a slug instead of a login.
      account: z.object({
        login: z.string().optional(),
        slug: z.string().optional(),
        type: z.string().optional(),
        avatar_url: z.string().optional(),
      }),
      repository_selection: z.enum(['all', 'selected']),
      suspended_at: z.string().nullish(),
    }),
  ),
})
const repositoryPage = z.object({
  repositories: z.array(
    z.object({
      id: z.number(),
      full_name: z.string(),
      private: z.boolean(),
      default_branch: z.string(),
      html_url: z.string(),
    }),
  ),
})
const mintedToken = z.object({ token: z.string().min(1), expires_at: z.coerce.date() })

type Installation = z.output<typeof installationPage>['installations'][number]

/**
 * GitHub App installations. The app must be registered with "Request user authorization (OAuth) during
 * installation", so that the installation page redirects to the callback with the user's code. A connection
 * holds the user's tokens, not the installation's: it can list only what both may see, and it ends when the
 * user loses access to the installation.
 */
export const github: Provider<GitHubApp> = {
  name: 'github',
  title: 'GitHub',
  // A GitHub App has permissions, set at its registration, instead of scopes.
  scopes: [],
  // The installation page starts the authorization itself and does not forward a PKCE challenge.
  hasPkce: false,
  webhook: githubWebhook,
  readApp: readGitHubApp,
  authorizeUrl({ webUrl, slug }, { state }) {
    const url = new URL(`${webUrl}/apps/${slug}/installations/new`)
    url.searchParams.set('state', state)
    return url
  },
  // A member of an organization can only request an installation; an owner approves it later.
  isRequested: query => query.get('setup_action') === 'request',
  async exchangeCode(identity, app, input) {
    const tokens = await requestTokens(identity, app, { code: input.code })
    try {
      const installation = await findInstallation(identity, app, tokens.accessToken, input)
      return { ...tokens, ...describe(installation) }
    } catch (error) {
      // No row holds these tokens, so revoke them; the first error explains more than a failed revocation.
      await revokeToken(identity, app, tokens.accessToken).catch(() => {})
      throw error
    }
  },
  refresh(identity, app, { refreshToken }) {
    if (refreshToken === null) throw new ProviderError('github', 'revoked', { reason: 'bad_refresh_token' })
    const body = { grant_type: 'refresh_token', refresh_token: refreshToken }
    return requestTokens(identity, app, body)
  },
  // Revokes the user's token only: others may use the installation, and only its account's owner may delete
  // it.
  revoke: (identity, app, held) =>
    revokeOrRenew(held, {
      revoke: accessToken => revokeToken(identity, app, accessToken),
      refresh: async () => github.refresh(identity, app, held),
    }),
}

/** Lists the first 2,000 repositories that both the installation and the user can access. */
export async function listRepositories(
  identity: Identity,
  app: GitHubApp,
  { accessToken, externalId }: { accessToken: string; externalId: string },
): Promise<GitHubRepository[]> {
  const path = `/user/installations/${encodeURIComponent(externalId)}/repositories`
  const repositories: GitHubRepository[] = []
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const answer = await callApi(identity, app, {
      method: 'GET',
      path: `${path}?per_page=${PAGE_SIZE}&page=${page}`,
      authorization: `Bearer ${accessToken}`,
    })
    // GitHub answers alike for an uninstalled app and for a user without access.
    if (answer.status === 404) throw new ProviderError('github', 'revoked', { reason: 'installation_gone' })
    const found = read(repositoryPage, answer).repositories
    repositories.push(
      ...found.map(one => ({
        id: one.id,
        fullName: one.full_name,
        isPrivate: one.private,
        defaultBranch: one.default_branch,
        url: one.html_url,
      })),
    )
    if (found.length < PAGE_SIZE) break
  }
  return repositories
}

/**
 * Creates an installation token, valid for an hour, with access to all repositories of the installation,
 * whatever the user may see. Throws `refused` with `suspended` while the installation is suspended, and
 * `revoked` once it was deleted.
 */
export async function mintInstallationToken(
  identity: Identity,
  app: GitHubApp,
  { externalId }: { externalId: string },
): Promise<{ token: string; expiresAt: Date }> {
  const { createAppAuth } = await import('@octokit/auth-app')
  const { token: jwt } = await createAppAuth({ appId: app.appId, privateKey: app.privateKey })({
    type: 'app',
  })
  const answer = await callApi(identity, app, {
    method: 'POST',
    path: `/app/installations/${encodeURIComponent(externalId)}/access_tokens`,
    authorization: `Bearer ${jwt}`,
  })
  if (answer.status === 404) throw new ProviderError('github', 'revoked', { reason: 'installation_gone' })
  const { token, expires_at: expiresAt } = read(mintedToken, answer)
  return { token, expiresAt }
}

async function requestTokens(
  identity: Identity,
  app: GitHubApp,
  fields: Readonly<Record<string, string>>,
): Promise<Tokens & { accessToken: string }> {
  const answer = await callUpstream(identity, 'github', {
    method: 'POST',
    url: `${app.webUrl}/login/oauth/access_token`,
    body: new URLSearchParams({ client_id: app.clientId, client_secret: app.clientSecret, ...fields }),
  })
  // GitHub sends a refusal with status 200.
  const refusal = tokenRefusal.safeParse(answer.body)
  if (refusal.success) {
    const reason = word(refusal.data.error)
    throw new ProviderError('github', reason === 'bad_refresh_token' ? 'revoked' : 'refused', { reason })
  }
  return tokensOf(read(issuedTokens, answer))
}

/**
 * Finds the installation that the query names in the user's own list; without a name, the user's only
 * installation.
 */
async function findInstallation(
  identity: Identity,
  app: GitHubApp,
  accessToken: string,
  { query }: CallbackInput,
): Promise<Installation> {
  const wanted = query.get('installation_id')
  const listed: Installation[] = []
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const answer = await callApi(identity, app, {
      method: 'GET',
      path: `/user/installations?per_page=${PAGE_SIZE}&page=${page}`,
      authorization: `Bearer ${accessToken}`,
    })
    const { installations } = read(installationPage, answer)
    const named = installations.find(one => String(one.id) === wanted)
    if (named) return named
    listed.push(...installations)
    if (installations.length < PAGE_SIZE) break
  }
  const [only] = listed
  if (wanted === null && only && listed.length === 1) return only
  const reason = github.isRequested?.(query) ? 'installation_requested' : 'installation_not_listed'
  throw new ProviderError('github', 'refused', { reason })
}

function describe({ id, account, repository_selection, suspended_at }: Installation) {
  const login = account.login ?? account.slug ?? String(id)
  const settings: ConnectionSettings<'github'> = {
    accountLogin: login,
    accountType: account.type ?? 'Enterprise',
    repositorySelection: repository_selection,
    isSuspended: suspended_at != null,
  }
  return {
    externalId: String(id),
    name: login,
    icon: account.avatar_url ?? null,
    scopes: [],
    botId: null,
    settings,
  }
}

/** Returns false if the token had already ended. */
async function revokeToken(identity: Identity, app: GitHubApp, accessToken: string): Promise<boolean> {
  const credentials = Buffer.from(`${app.clientId}:${app.clientSecret}`).toString('base64')
  const answer = await callApi(identity, app, {
    method: 'DELETE',
    path: `/applications/${encodeURIComponent(app.clientId)}/token`,
    authorization: `Basic ${credentials}`,
    body: { access_token: accessToken },
  })
  if (answer.status === 204) return true
  if (answer.status === 404 || answer.status === 422) return false
  throw new ProviderError('github', 'unreachable', { reason: `answered ${answer.status}` })
}

async function callApi(
  identity: Identity,
  app: GitHubApp,
  request: {
    method: UpstreamRequest['method']
    path: string
    authorization: string
    body?: Record<string, string>
  },
): Promise<UpstreamAnswer> {
  const { method, path, authorization, body } = request
  const answer = await callUpstream(identity, 'github', {
    method,
    url: `${app.apiUrl}${path}`,
    headers: { ...API_HEADERS, authorization },
    ...(body && { body }),
  })
  if (answer.status === 401) throw new ProviderError('github', 'revoked', { reason: 'bad_credentials' })
  if (answer.status === 403) throw forbidden(answer)
  return answer
}

// GitHub answers 403 for rate limits, suspended installations and missing permissions.
function forbidden({ headers, body }: UpstreamAnswer): ProviderError {
  const message = z.object({ message: z.string() }).safeParse(body).data?.message ?? ''
  if (headers.has('retry-after') || /rate limit/i.test(message)) {
    return new ProviderError('github', 'rate_limited', { retryAt: limitEnd(headers) })
  }
  return new ProviderError('github', 'refused', {
    reason: /suspended/i.test(message) ? 'suspended' : 'forbidden',
  })
}

function limitEnd(headers: Headers): Date {
  const reset = Number(headers.get('x-ratelimit-reset'))
  const isPrimary = headers.get('x-ratelimit-remaining') === '0' && reset * 1_000 > Date.now()
  return headers.has('retry-after') || !isPrimary ? retryAt(headers) : new Date(reset * 1_000)
}

function read<T extends z.core.$ZodType>(schema: T, { status, body }: UpstreamAnswer): z.output<T> {
  if (status >= 300) throw new ProviderError('github', 'unreachable', { reason: `answered ${status}` })
  return readAnswer('github', schema, body)
}

/** Returns a provider's error code, or `unknown` for longer text, which might contain what was sent. */
function word(text: string): string {
  return /^[a-z_]{1,64}$/.test(text) ? text : 'unknown'
}
