import { randomBytes, randomUUID } from 'node:crypto'
import {
  bearerOf,
  jsonOf,
  openFakeServer,
  type ProviderAnswer,
  type ProviderControls,
  type ProviderRequest,
  parametersOf,
  redirect,
} from './fake-server.ts'
import { createGrants, type Grant, type Grants } from './grants.ts'
import { resolveGraphql } from './graphql.ts'

interface FakeLinearTeam {
  readonly id: string
  readonly key: string
  readonly name: string
}

interface FakeOrganization {
  readonly id: string
  readonly name: string
  readonly urlKey: string
  readonly logoUrl: string | null
  readonly teams: FakeLinearTeam[]
}

interface Subject {
  readonly organization: FakeOrganization
  readonly scope: string
}

export interface FakeLinear extends ProviderControls {
  readonly clientId: string
  readonly clientSecret: string
  readonly organizations: readonly FakeOrganization[]
  readonly tokens: Grants<Subject>
  addOrganization(organization: { name: string; teams?: number }): FakeOrganization
  /** Which organization the browser allows next; null declines. */
  browse(organization: FakeOrganization | null): void
}

const TOKEN_LIFETIME_SECONDS = 86_399

/**
 * Linear with one OAuth application: PKCE, refresh tokens, revocation, and the GraphQL fields that a
 * connection asks for.
 */
export async function openFakeLinear(options: { callbackUrls: readonly string[] }): Promise<FakeLinear> {
  const clientId = randomBytes(16).toString('hex')
  const clientSecret = randomBytes(16).toString('hex')
  const organizations: FakeOrganization[] = []
  const tokens = createGrants<Subject>({
    newAccessToken: () => `lin_oauth_${randomBytes(32).toString('hex')}`,
    newRefreshToken: () => `lin_refresh_${randomBytes(32).toString('hex')}`,
    lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
  })
  let chosen: FakeOrganization | null = null

  function authorizePage({ query }: ProviderRequest): ProviderAnswer {
    const to = query.get('redirect_uri') ?? ''
    if (query.get('client_id') !== clientId) return { status: 400, body: 'Invalid client_id' }
    if (!options.callbackUrls.includes(to)) return { status: 400, body: 'Invalid redirect_uri' }
    const state = query.get('state')
    if (query.get('response_type') !== 'code')
      return redirect(to, { error: 'unsupported_response_type', state })
    const challenge = query.get('code_challenge')
    if (challenge !== null && query.get('code_challenge_method') !== 'S256') {
      return redirect(to, { error: 'invalid_request', state })
    }
    if (!chosen) return redirect(to, { error: 'access_denied', state })
    const subject = { organization: chosen, scope: query.get('scope') ?? 'read' }
    return redirect(to, { code: tokens.issueCode(subject, { redirectUri: to, challenge }), state })
  }

  function token(request: ProviderRequest): ProviderAnswer {
    if (!isForm(request)) return oauthError(400, 'invalid_request')
    const body = parametersOf(request)
    const { id, secret } = clientOf(request)
    if (id !== clientId || secret !== clientSecret) return oauthError(401, 'invalid_client')
    const grantType = body.get('grant_type')
    if (grantType === 'refresh_token') {
      const grant = tokens.refresh(body.get('refresh_token'))
      return grant ? issued(grant) : oauthError(400, 'invalid_grant')
    }
    if (grantType !== 'authorization_code') return oauthError(400, 'unsupported_grant_type')
    const grant = tokens.redeem(body.get('code'), {
      redirectUri: body.get('redirect_uri'),
      verifier: body.get('code_verifier'),
    })
    return typeof grant === 'string' ? oauthError(400, 'invalid_grant') : issued(grant)
  }

  // By a form that names the token, or by the token itself in the header.
  function revoke(request: ProviderRequest): ProviderAnswer {
    const grant = tokens.findAny(
      bearerOf(request) ??
        parametersOf(request).get('token') ??
        parametersOf(request).get('access_token') ??
        parametersOf(request).get('refresh_token'),
    )
    if (!grant || grant.isRevoked) return oauthError(400, 'invalid_request')
    grant.isRevoked = true
    return { status: 200, body: {} }
  }

  function clientOf(request: ProviderRequest): { id: string | undefined; secret: string | undefined } {
    const body = parametersOf(request)
    return { id: body.get('client_id'), secret: body.get('client_secret') }
  }

  function graphql(request: ProviderRequest): ProviderAnswer {
    const grant = tokens.find(bearerOf(request))
    if (!grant) return notAuthenticated()
    const { query, variables } = jsonOf(request)
    if (typeof query !== 'string') return graphqlError('query must be a string', 'INPUT_ERROR')
    const { organization } = grant.subject
    const result = resolveGraphql(query, variables, {
      viewer: () => ({ id: randomUUID(), name: 'Ada', organization: describe(organization) }),
      organization: () => describe(organization),
      teams: parameters => teams(organization, parameters),
    })
    return 'error' in result
      ? graphqlError(result.error, 'GRAPHQL_VALIDATION_FAILED')
      : { status: 200, headers: limits(4_999), body: result }
  }

  const server = await openFakeServer({
    answer(request) {
      const endpoint = `${request.method} ${request.path}`
      if (endpoint === 'GET /oauth/authorize') return authorizePage(request)
      if (endpoint === 'POST /oauth/token') return token(request)
      if (endpoint === 'POST /oauth/revoke') return revoke(request)
      if (endpoint === 'POST /graphql') return graphql(request)
      return { status: 404, body: 'Not Found' }
    },
    limited(retryAfterSeconds) {
      const headers = limits(0, retryAfterSeconds)
      return { ...graphqlError('Rate limit exceeded', 'RATELIMITED', 'ratelimited'), headers }
    },
  })

  return {
    ...server,
    clientId,
    clientSecret,
    organizations,
    tokens,
    addOrganization({ name, teams: count = 2 }) {
      const organization: FakeOrganization = {
        id: randomUUID(),
        name,
        urlKey: name.toLowerCase(),
        logoUrl: null,
        teams: Array.from({ length: count }, (_, index) => ({
          id: randomUUID(),
          key: `T${index}`,
          name: `Team ${index}`,
        })),
      }
      organizations.push(organization)
      chosen ??= organization
      return organization
    },
    browse(organization) {
      chosen = organization
    },
  }
}

function issued({ subject, accessToken, refreshToken, expiresAtMs }: Grant<Subject>): ProviderAnswer {
  return {
    status: 200,
    body: {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: refreshToken === null ? 315_705_599 : Math.round((expiresAtMs - Date.now()) / 1_000),
      scope: subject.scope.replaceAll(',', ' '),
      ...(refreshToken !== null && { refresh_token: refreshToken }),
    },
  }
}

function describe({ teams: _, ...organization }: FakeOrganization): Record<string, unknown> {
  return organization
}

function teams(
  organization: FakeOrganization,
  { first = 50, after }: Record<string, unknown>,
): Record<string, unknown> | string {
  if (typeof first !== 'number' || first < 1 || first > 250) return 'Argument "first" must be 1 to 250'
  const start = after == null ? 0 : organization.teams.findIndex(team => team.id === after) + 1
  if (after != null && start === 0) return 'Argument "after" is no cursor'
  const nodes = organization.teams.slice(start, start + first)
  const endCursor = nodes.at(-1)?.id ?? null
  const hasNextPage = start + first < organization.teams.length
  return { nodes: nodes.map(team => ({ ...team })), pageInfo: { hasNextPage, endCursor } }
}

function isForm(request: ProviderRequest): boolean {
  return request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
}

function oauthError(status: number, error: string): ProviderAnswer {
  return { status, body: { error, error_description: `The request failed: ${error}` } }
}

function notAuthenticated(): ProviderAnswer {
  const answer = graphqlError(
    'Authentication required, not authenticated',
    'AUTHENTICATION_ERROR',
    'authentication error',
  )
  return { ...answer, status: 401 }
}

function graphqlError(message: string, code: string, type = 'invalid input'): ProviderAnswer {
  const extensions = { type, code, statusCode: 400, userError: true, userPresentableMessage: message }
  return { status: 400, body: { errors: [{ message, extensions }], data: null } }
}

// The resets are in milliseconds.
function limits(remaining: number, resetSeconds = 3_600): Record<string, string> {
  return {
    'x-ratelimit-requests-limit': '5000',
    'x-ratelimit-requests-remaining': String(remaining),
    'x-ratelimit-requests-reset': String(Date.now() + resetSeconds * 1_000),
  }
}
