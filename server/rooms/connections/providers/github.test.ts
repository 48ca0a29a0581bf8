import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { followOnce } from '#server/testing/providers/browser.ts'
import { type FakeGithub, type FakeInstallation, openFakeGithub } from '#server/testing/providers/github.ts'
import { TEST_IDENTITY as identity } from '#server/testing/providers/identity.ts'
import type { HeldTokens } from '../provider.ts'
import { UPSTREAM_TIMEOUT_MS } from '../upstream.ts'
import { github, listRepositories, mintInstallationToken } from './github.ts'
import type { GitHubApp } from './github-app.ts'

const REDIRECT_URI = 'http://localhost:3000/oauth/github/callback'

let fake: FakeGithub
let app: GitHubApp
let installation: FakeInstallation

beforeAll(async () => {
  fake = await openFakeGithub({ callbackUrls: [REDIRECT_URI] })
  const { id: appId, ...registered } = fake.app
  app = { ...registered, appId, apiUrl: fake.url, webUrl: fake.url }
})

beforeEach(() => {
  installation = fake.install({ login: 'octocat', repositories: 3 })
  fake.browse({ login: 'octocat', installation })
})

afterAll(() => fake.close())

/** The callback's query after the browser was at GitHub. */
async function authorize(): Promise<URLSearchParams> {
  const url = await github.authorizeUrl(app, {
    state: 'some state',
    codeVerifier: null,
    redirectUri: REDIRECT_URI,
  })
  return (await followOnce(url.href)).searchParams
}

async function connect(query?: URLSearchParams) {
  const given = query ?? (await authorize())
  const input = { code: given.get('code') ?? '', codeVerifier: null, redirectUri: REDIRECT_URI, query: given }
  return github.exchangeCode(identity, app, input)
}

function held({ accessToken, refreshToken, expiresAt, externalId }: HeldTokens): HeldTokens {
  return { accessToken, refreshToken, expiresAt, externalId }
}

async function connectAndRead() {
  const grant = await connect()
  const { accessToken, externalId } = grant
  return { grant, target: { accessToken: accessToken ?? '', externalId } }
}

test('an installation of the user is connected with GitHub’s data about it', async () => {
  const query = await authorize()
  expect(query.get('state')).toBe('some state')
  expect(await connect(query)).toEqual({
    accessToken: expect.stringMatching(/^ghu_/),
    refreshToken: expect.stringMatching(/^ghr_/),
    expiresAt: expect.any(Date),
    externalId: String(installation.id),
    name: 'octocat',
    icon: 'https://avatars.example/octocat',
    scopes: [],
    botId: null,
    settings: {
      accountLogin: 'octocat',
      accountType: 'User',
      repositorySelection: 'selected',
      isSuspended: false,
    },
  })
})

test('an installation that the user cannot list is rejected, and its new tokens are revoked', async () => {
  const foreign = fake.install({ login: 'somebody-else' })
  const query = await authorize()
  query.set('installation_id', String(foreign.id))
  await expect(connect(query)).rejects.toMatchObject({ kind: 'refused', reason: 'installation_not_listed' })
  expect(fake.userTokens.all.at(-1)?.isRevoked).toBe(true)
})

test.each(['', '1e3', '0x1', '-1', 'NaN', '../../user'])('the installation id "%s" is rejected', async id => {
  const query = await authorize()
  query.set('installation_id', id)
  await expect(connect(query)).rejects.toMatchObject({ kind: 'refused', reason: 'installation_not_listed' })
})

test('an installation on the last page of many is found', async () => {
  for (let index = 0; index < 150; index += 1) fake.install({ login: `org-${index}`, visibleTo: ['busy'] })
  const last = fake.install({ login: 'org-last', type: 'Organization', visibleTo: ['busy'] })
  fake.browse({ login: 'busy', installation: last })
  expect(await connect()).toMatchObject({
    externalId: String(last.id),
    settings: { accountType: 'Organization' },
  })
})

test('a callback without an installation uses the user’s only one, or is rejected', async () => {
  const install = () => fake.install({ login: 'twice', visibleTo: ['twice'] })
  const only = install()
  fake.browse({ login: 'twice', installation: only })
  const unnamed = async () => {
    const query = await authorize()
    query.delete('installation_id')
    return connect(query)
  }
  expect(await unnamed()).toMatchObject({ externalId: String(only.id) })
  install()
  await expect(unnamed()).rejects.toMatchObject({ kind: 'refused', reason: 'installation_not_listed' })
  expect(fake.userTokens.all.at(-1)?.isRevoked).toBe(true)
})

test('a requested installation that its owner has not approved is rejected as requested', async () => {
  fake.browse({ login: 'member', installation: null })
  await expect(connect()).rejects.toMatchObject({ kind: 'refused', reason: 'installation_requested' })
})

test('a code can be used once', async () => {
  const query = await authorize()
  await connect(query)
  await expect(connect(query)).rejects.toMatchObject({ kind: 'refused', reason: 'bad_verification_code' })
})

test('a wrong client secret is rejected, and the error does not contain it', async () => {
  const query = await authorize()
  const wrong = { ...app, clientSecret: 'not-the-client-secret' }
  const input = { code: query.get('code') ?? '', codeVerifier: null, redirectUri: REDIRECT_URI, query }
  const error: unknown = await github.exchangeCode(identity, wrong, input).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'refused', reason: 'incorrect_client_credentials' })
  expect(String(error)).not.toContain('not-the-client-secret')
})

test('all pages of repositories are listed', async () => {
  installation = fake.install({ login: 'hubot', repositories: 230 })
  fake.browse({ login: 'hubot', installation })
  const { target } = await connectAndRead()
  const repositories = await listRepositories(identity, app, target)
  expect(repositories).toHaveLength(230)
  expect(repositories[0]).toEqual({
    id: 700_000,
    fullName: 'hubot/repository-0',
    isPrivate: true,
    defaultBranch: 'main',
    url: 'https://github.com/hubot/repository-0',
  })
})

test('a repository of the installation that the user cannot access is not listed', async () => {
  const { target } = await connectAndRead()
  const [hidden] = installation.repositories
  if (!hidden) throw new Error('the installation has repositories')
  fake.hide(hidden)
  const names = (await listRepositories(identity, app, target)).map(one => one.fullName)
  expect(names).toEqual(['octocat/repository-1', 'octocat/repository-2'])
})

test('a refresh returns new tokens and revokes the old ones', async () => {
  const { grant, target } = await connectAndRead()
  const fresh = await github.refresh(identity, app, held(grant))
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject({ kind: 'revoked' })
  await expect(github.refresh(identity, app, held(grant))).rejects.toMatchObject({
    kind: 'revoked',
    reason: 'bad_refresh_token',
  })
  const renewed = { ...target, accessToken: fresh.accessToken ?? '' }
  expect(await listRepositories(identity, app, renewed)).toHaveLength(3)
})

test('a token that never expires cannot be refreshed', async () => {
  fake.userTokens.lifetimeSeconds = null
  const grant = await connect()
  fake.userTokens.lifetimeSeconds = 28_800
  expect(grant).toMatchObject({ refreshToken: null, expiresAt: null })
  await expect((async () => github.refresh(identity, app, held(grant)))()).rejects.toMatchObject({
    kind: 'revoked',
  })
})

test('disconnecting revokes the tokens and keeps the installation', async () => {
  const { grant, target } = await connectAndRead()
  await github.revoke(identity, app, held(grant))
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject({ kind: 'revoked' })
  await expect(github.refresh(identity, app, held(grant))).rejects.toMatchObject({ kind: 'revoked' })
  expect(fake.installations).toContain(installation)
  await github.revoke(identity, app, held(grant))
})

test('disconnecting with an expired token revokes the refreshed one', async () => {
  const grant = await connect()
  fake.userTokens.expireAll()
  await github.revoke(identity, app, held(grant))
  expect(fake.userTokens.all.at(-1)?.isRevoked).toBe(true)
})

test('a deleted installation, or one that the user lost access to, is revoked', async () => {
  const { target } = await connectAndRead()
  installation.visibleTo.clear()
  const ended = { kind: 'revoked', reason: 'installation_gone' }
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject(ended)
  fake.uninstall(installation)
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject(ended)
  await expect(mintInstallationToken(identity, app, target)).rejects.toMatchObject(ended)
})

test('a suspended installation is connected as suspended and lists nothing', async () => {
  installation.suspended_at = '2026-05-01T00:00:00Z'
  const { grant, target } = await connectAndRead()
  expect(grant.settings).toMatchObject({ isSuspended: true })
  const suspended = { kind: 'refused', reason: 'suspended' }
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject(suspended)
  await expect(mintInstallationToken(identity, app, target)).rejects.toMatchObject(suspended)
})

test('an installation token is created with the app’s private key', async () => {
  const { token, expiresAt } = await mintInstallationToken(identity, app, {
    externalId: String(installation.id),
  })
  const response = await fetch(`${fake.url}/installation/repositories`, {
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
  })
  expect(await response.json()).toMatchObject({ total_count: 3 })
  expect(expiresAt.getTime()).toBeGreaterThan(Date.now())
})

test('a secondary rate limit returns when to retry', async () => {
  const { target } = await connectAndRead()
  fake.limitNext(1, { retryAfterSeconds: 90 })
  const before = Date.now()
  const error = await listRepositories(identity, app, target).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'rate_limited' })
  const { retryAt } = error as { retryAt: Date }
  expect(retryAt.getTime()).toBeGreaterThanOrEqual(before + 90_000)
})

test('a primary rate limit returns when it resets', async () => {
  const { target } = await connectAndRead()
  const reset = Math.floor(Date.now() / 1_000) + 1_200
  fake.answerNext(1, {
    status: 403,
    headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) },
    body: { message: 'API rate limit exceeded for user ID 1.' },
  })
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject({
    kind: 'rate_limited',
    retryAt: new Date(reset * 1_000),
  })
})

test.each(['html', 'cut', 'empty', 'null', 'broken'] as const)(
  'an answer that is %s counts as unreachable',
  async garbage => {
    const { grant, target } = await connectAndRead()
    const unreachable = { kind: 'unreachable' }
    fake.garbleNext(1, garbage)
    await expect(listRepositories(identity, app, target)).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage)
    await expect(github.refresh(identity, app, held(grant))).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage, 'POST /login/oauth/access_token')
    await expect(connect()).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage, 'GET /user/installations')
    await expect(connect()).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage)
    await expect(mintInstallationToken(identity, app, target)).rejects.toMatchObject(unreachable)
  },
)

test('GitHub is unreachable while it is down', async () => {
  const { grant, target } = await connectAndRead()
  fake.goDown()
  const unreachable = { kind: 'unreachable' }
  await expect(listRepositories(identity, app, target)).rejects.toMatchObject(unreachable)
  await expect(github.refresh(identity, app, held(grant))).rejects.toMatchObject(unreachable)
  await expect(github.revoke(identity, app, held(grant))).rejects.toMatchObject(unreachable)
  fake.comeBack()
  expect(await listRepositories(identity, app, target)).toHaveLength(3)
})

test('a call that GitHub never answers ends at the deadline', async () => {
  const { target } = await connectAndRead()
  const deadline = new AbortController()
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal)
  const held = fake.hold()
  const call = listRepositories(identity, app, target).catch((thrown: unknown) => thrown)
  await held.waiting(1)
  deadline.abort()
  expect(await call).toMatchObject({ kind: 'unreachable' })
  expect(timeout).toHaveBeenCalledExactlyOnceWith(UPSTREAM_TIMEOUT_MS)
  timeout.mockRestore()
  held.release()
})
