import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  basicOf,
  bearerOf,
  openFakeServer,
  type ProviderAnswer,
  type ProviderControls,
  type ProviderRequest,
  parametersOf,
  redirect,
} from './fake-server.ts'
import {
  badCredentials,
  DOCS,
  describeInstallation,
  describeRepository,
  type FakeInstallation,
  type FakeRepository,
  JSON_TYPE,
  jwtProblem,
  notFound,
  page,
  suspended,
} from './github-answers.ts'
import { createGrants, type Grants } from './grants.ts'

export type { FakeInstallation }

export interface FakeGithubOptions {
  /** The registered callback URLs; an installation returns to the first. */
  readonly callbackUrls: readonly string[]
}

export interface FakeGithub extends ProviderControls {
  /** What the application is configured with. */
  readonly app: {
    readonly id: string
    readonly slug: string
    readonly clientId: string
    readonly clientSecret: string
    /** PEM, PKCS#1, as GitHub hands it out. */
    readonly privateKey: string
  }
  readonly installations: readonly FakeInstallation[]
  readonly userTokens: Grants<string>
  /** Who is at the browser, and which installation is chosen on the installation page. */
  browse(as: { login: string; installation?: FakeInstallation | null }): void
  install(installation: {
    login: string
    type?: 'User' | 'Organization'
    repositories?: number
    selection?: 'all' | 'selected'
    visibleTo?: readonly string[]
  }): FakeInstallation
  /** From everybody but the installation itself. */
  hide(repository: FakeRepository): void
  uninstall(installation: FakeInstallation): void
}

const TOKEN_LIFETIME_SECONDS = 28_800
const REFRESH_LIFETIME_SECONDS = 15_811_200

/** GitHub with one GitHub App: installing, authorizing, and the API calls that an installation allows. */
export async function openFakeGithub({ callbackUrls }: FakeGithubOptions): Promise<FakeGithub> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicKey = createPublicKey(privateKey)
  const app = {
    id: '917348',
    slug: 'rowhouse-test',
    clientId: 'Iv23liFakeGithubApp0',
    clientSecret: randomBytes(20).toString('hex'),
    privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
  }
  const installations: FakeInstallation[] = []
  const hiddenRepositories = new Set<FakeRepository>()
  const installationTokens = new Map<string, number>()
  const userTokens = createGrants<string>({
    newAccessToken: () => `ghu_${randomBytes(18).toString('hex')}`,
    newRefreshToken: () => `ghr_${randomBytes(38).toString('hex')}`,
    lifetimeSeconds: TOKEN_LIFETIME_SECONDS,
    mayOmitRedirect: true,
  })
  let browser: { login: string; installation?: FakeInstallation | null } = { login: 'octocat' }

  function authorizePage({ query }: ProviderRequest): ProviderAnswer {
    const to = query.get('redirect_uri') ?? callbackUrls[0] ?? ''
    if (query.get('client_id') !== app.clientId) return { status: 404, body: 'Not Found' }
    if (!callbackUrls.includes(to))
      return { status: 400, body: 'The redirect_uri is not associated with this application.' }
    const challenge = query.get('code_challenge')
    if (challenge !== null && query.get('code_challenge_method') !== 'S256') {
      return redirect(to, { error: 'invalid_request', state: query.get('state') })
    }
    const code = userTokens.issueCode(browser.login, { redirectUri: to, challenge })
    return redirect(to, { code, state: query.get('state') })
  }

  // With "Request user authorization during installation" the page ends at the first callback URL, whatever
  // was asked for.
  function installationPage({ query }: ProviderRequest): ProviderAnswer {
    const to = callbackUrls[0] ?? ''
    const code = userTokens.issueCode(browser.login, { redirectUri: to, challenge: null })
    const { installation } = browser
    return redirect(to, {
      code,
      installation_id: installation ? String(installation.id) : null,
      setup_action: installation ? 'install' : 'request',
      state: query.get('state'),
    })
  }

  function token(request: ProviderRequest): ProviderAnswer {
    const body = parametersOf(request)
    const basic = basicOf(request)
    const isForm = !/json/.test(request.headers.accept ?? '')
    const respond = (fields: Record<string, string | number>): ProviderAnswer => {
      if (!isForm) return { status: 200, body: fields }
      const text = new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]))
      return {
        status: 200,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: text.toString(),
      }
    }
    const refuse = (error: string, description: string) =>
      respond({ error, error_description: description, error_uri: `${DOCS}#${error}` })

    const id = basic?.id ?? body.get('client_id')
    const secret = basic?.secret ?? body.get('client_secret')
    if (id === undefined) return { status: 404, body: { error: 'Not Found' } }
    if (id !== app.clientId || secret !== app.clientSecret) {
      return refuse(
        'incorrect_client_credentials',
        'The client_id and/or client_secret passed are incorrect.',
      )
    }
    const grantType = body.get('grant_type') ?? 'authorization_code'
    if (grantType !== 'refresh_token' && grantType !== 'authorization_code') {
      return refuse('unsupported_grant_type', 'The grant type is not supported.')
    }
    const grant =
      grantType === 'refresh_token'
        ? (userTokens.refresh(body.get('refresh_token')) ?? 'unknown_refresh')
        : userTokens.redeem(body.get('code'), {
            redirectUri: body.get('redirect_uri'),
            verifier: body.get('code_verifier'),
          })
    if (grant === 'unknown_refresh') {
      return refuse('bad_refresh_token', 'The refresh token passed is incorrect or expired.')
    }
    if (grant === 'wrong_redirect') {
      return refuse('redirect_uri_mismatch', 'The redirect_uri MUST match the registered callback URL.')
    }
    if (typeof grant === 'string') {
      return refuse('bad_verification_code', 'The code passed is incorrect or expired.')
    }
    const expiry: Record<string, string | number> =
      grant.refreshToken === null
        ? {}
        : {
            expires_in: Math.round((grant.expiresAtMs - Date.now()) / 1_000),
            refresh_token: grant.refreshToken,
            refresh_token_expires_in: REFRESH_LIFETIME_SECONDS,
          }
    return respond({ access_token: grant.accessToken, ...expiry, token_type: 'bearer', scope: '' })
  }

  function userInstallations(request: ProviderRequest): ProviderAnswer {
    const grant = userTokens.find(bearerOf(request))
    if (!grant) return badCredentials()
    const visible = installations.filter(one => one.visibleTo.has(grant.subject)).map(describeInstallation)
    return page(request, 'installations', visible)
  }

  function oneInstallation(request: ProviderRequest, id: number): ProviderAnswer {
    const problem = jwtProblem(bearerOf(request), { ...app, publicKey })
    if (problem) return { status: 401, body: { message: problem, documentation_url: DOCS } }
    const installation = installations.find(one => one.id === id)
    return installation ? { status: 200, body: describeInstallation(installation) } : notFound()
  }

  function installationToken(request: ProviderRequest, id: number): ProviderAnswer {
    const problem = jwtProblem(bearerOf(request), { ...app, publicKey })
    if (problem) return { status: 401, body: { message: problem, documentation_url: DOCS } }
    const installation = installations.find(one => one.id === id)
    if (!installation) return notFound()
    if (installation.suspended_at) {
      return suspended()
    }
    const value = `ghs_${randomBytes(18).toString('hex')}`
    installationTokens.set(value, installation.id)
    return {
      status: 201,
      headers: JSON_TYPE,
      body: {
        token: value,
        expires_at: new Date(Date.now() + 3_600_000).toISOString(),
        permissions: { contents: 'read', metadata: 'read' },
        repository_selection: installation.repository_selection,
      },
    }
  }

  function repositories(request: ProviderRequest): ProviderAnswer {
    const id = installationTokens.get(bearerOf(request) ?? '')
    const installation = installations.find(one => one.id === id)
    if (!installation) return badCredentials()
    if (installation.suspended_at) {
      return suspended()
    }
    return page(request, 'repositories', installation.repositories.map(describeRepository))
  }

  /** What the installation reaches and the user may see. */
  function userRepositories(request: ProviderRequest, id: number): ProviderAnswer {
    const grant = userTokens.find(bearerOf(request))
    if (!grant) return badCredentials()
    const installation = installations.find(one => one.id === id)
    if (!installation?.visibleTo.has(grant.subject)) return notFound()
    if (installation.suspended_at) return suspended()
    const visible = installation.repositories.filter(one => !hiddenRepositories.has(one))
    return page(request, 'repositories', visible.map(describeRepository))
  }

  function revoke(request: ProviderRequest): ProviderAnswer {
    const basic = basicOf(request)
    if (basic?.id !== app.clientId || basic.secret !== app.clientSecret) return notFound()
    const accessToken = parametersOf(request).get('access_token')
    const grant = userTokens.find(accessToken)
    if (!grant) return { status: 404, body: { message: 'Not Found', documentation_url: DOCS } }
    // Ending the grant ends every token of this person for the application; ending a token ends that one.
    for (const one of userTokens.all) {
      if (one === grant || (request.path.endsWith('/grant') && one.subject === grant.subject))
        one.isRevoked = true
    }
    return { status: 204 }
  }

  const server = await openFakeServer({
    answer(request) {
      const { method, path } = request
      if (method === 'GET' && path === '/login/oauth/authorize') return authorizePage(request)
      if (method === 'GET' && path === `/apps/${app.slug}/installations/new`) return installationPage(request)
      if (method === 'POST' && path === '/login/oauth/access_token') return token(request)
      if (!request.headers['user-agent'])
        return { status: 403, body: 'Request forbidden by administrative rules.' }
      if (method === 'GET' && path === '/user/installations') return userInstallations(request)
      if (method === 'GET' && path === '/installation/repositories') return repositories(request)
      if (method === 'DELETE' && path === `/applications/${app.clientId}/token`) return revoke(request)
      if (method === 'DELETE' && path === `/applications/${app.clientId}/grant`) return revoke(request)
      const [, userInstallation] = /^\/user\/installations\/(\d+)\/repositories$/.exec(path) ?? []
      if (userInstallation && method === 'GET') return userRepositories(request, Number(userInstallation))
      const [, id, rest] = /^\/app\/installations\/(\d+)(\/access_tokens)?$/.exec(path) ?? []
      if (id && method === 'GET' && !rest) return oneInstallation(request, Number(id))
      if (id && method === 'POST' && rest) return installationToken(request, Number(id))
      return notFound()
    },
    limited: (retryAfterSeconds, { path }) => ({
      status: path.startsWith('/login/') ? 429 : 403,
      headers: { 'retry-after': String(retryAfterSeconds) },
      body: {
        message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
        documentation_url: 'https://docs.github.com/rest/overview/rate-limits-for-the-rest-api',
      },
    }),
  })

  return {
    ...server,
    app,
    installations,
    userTokens,
    browse(as) {
      browser = as
    },
    install({ login, type = 'User', repositories: count = 2, selection = 'selected', visibleTo = [login] }) {
      const installation: FakeInstallation = {
        id: 50_000_000 + installations.length,
        account: { login, id: 9_000 + installations.length, type },
        repository_selection: selection,
        suspended_at: null,
        repositories: Array.from({ length: count }, (_, index) => ({
          id: 700_000 + index,
          full_name: `${login}/repository-${index}`,
          private: index % 2 === 0,
          default_branch: 'main',
        })),
        visibleTo: new Set(visibleTo),
      }
      installations.push(installation)
      return installation
    },
    hide(repository) {
      hiddenRepositories.add(repository)
    },
    uninstall(installation) {
      installations.splice(installations.indexOf(installation), 1)
    },
  }
}
