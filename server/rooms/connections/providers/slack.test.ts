import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { followOnce } from '#server/testing/providers/browser.ts'
import { TEST_IDENTITY as identity } from '#server/testing/providers/identity.ts'
import { type FakeSlack, type FakeTeam, openFakeSlack } from '#server/testing/providers/slack.ts'
import type { OAuthApp } from '../app.ts'
import { type HeldTokens, ProviderError } from '../provider.ts'
import { UPSTREAM_TIMEOUT_MS } from '../upstream.ts'
import { listChannels, slack } from './slack.ts'

const REDIRECT_URI = 'https://rowhouse.example/oauth/slack/callback'

let fake: FakeSlack
let app: OAuthApp
let team: FakeTeam

beforeAll(async () => {
  fake = await openFakeSlack({ callbackUrls: [REDIRECT_URI] })
  const { clientId, clientSecret, url } = fake
  app = { clientId, clientSecret, apiUrl: url, webUrl: url }
})

beforeEach(() => {
  team = fake.addTeam({ name: 'Acme', channels: 3 })
  fake.browse(team)
})

afterAll(() => fake.close())

async function authorize(): Promise<URLSearchParams> {
  const url = await slack.authorizeUrl(app, {
    state: 'some state',
    codeVerifier: null,
    redirectUri: REDIRECT_URI,
  })
  return (await followOnce(url.href)).searchParams
}

async function connect(query?: URLSearchParams) {
  const given = query ?? (await authorize())
  const input = { code: given.get('code') ?? '', codeVerifier: null, redirectUri: REDIRECT_URI, query: given }
  return slack.exchangeCode(identity, app, input)
}

function held({ accessToken, refreshToken, expiresAt, externalId }: HeldTokens): HeldTokens {
  return { accessToken, refreshToken, expiresAt, externalId }
}

async function connectAndRead() {
  const grant = await connect()
  return { grant, target: { accessToken: grant.accessToken ?? '' } }
}

test('a workspace is connected with Slack’s data about it', async () => {
  const query = await authorize()
  expect(query.get('state')).toBe('some state')
  expect(await connect(query)).toEqual({
    accessToken: expect.stringMatching(/^xoxe\.xoxb-1-/),
    refreshToken: expect.stringMatching(/^xoxe-1-/),
    expiresAt: expect.any(Date),
    externalId: team.id,
    name: 'Acme',
    icon: null,
    scopes: [...slack.scopes],
    botId: team.botUserId,
    settings: { teamName: 'Acme', botUserId: team.botUserId },
  })
})

test('a user who declines comes back with an error and no code', async () => {
  fake.browse(null)
  expect(Object.fromEntries(await authorize())).toEqual({ error: 'access_denied', state: 'some state' })
})

test('a code can be used once, and only with its own redirect URI', async () => {
  const query = await authorize()
  await connect(query)
  await expect(connect(query)).rejects.toMatchObject({ kind: 'refused', reason: 'invalid_code' })
  const other = await authorize()
  const input = {
    code: other.get('code') ?? '',
    codeVerifier: null,
    redirectUri: 'https://elsewhere.example',
    query: other,
  }
  await expect(slack.exchangeCode(identity, app, input)).rejects.toMatchObject({ reason: 'bad_redirect_uri' })
})

test('without rotation the token never expires', async () => {
  fake.tokens.lifetimeSeconds = null
  const grant = await connect()
  fake.tokens.lifetimeSeconds = 43_200
  expect(grant).toMatchObject({ refreshToken: null, expiresAt: null })
  expect(await listChannels(identity, app, { accessToken: grant.accessToken ?? '' })).toHaveLength(3)
})

test('all pages of channels are listed, private ones included', async () => {
  team = fake.addTeam({ name: 'Large', channels: 2_300 })
  fake.browse(team)
  const { target } = await connectAndRead()
  fake.forgetCalls()
  const channels = await listChannels(identity, app, target)
  expect(channels).toHaveLength(2_300)
  expect(fake.calls('POST /api/conversations.list')).toBe(3)
  expect(channels.slice(0, 3)).toEqual([
    { id: 'C000000000', name: 'channel-0', isPrivate: false, isMember: true },
    { id: 'C000000001', name: 'channel-1', isPrivate: false, isMember: false },
    { id: 'C000000002', name: 'channel-2', isPrivate: true, isMember: true },
  ])
})

test('an endless cursor is followed for ten pages', async () => {
  const { target } = await connectAndRead()
  fake.forgetCalls()
  const page = {
    ok: true,
    channels: [{ id: 'C1', name: 'again' }],
    response_metadata: { next_cursor: 'more' },
  }
  fake.answerNext(10, { status: 200, body: page })
  expect(await listChannels(identity, app, target)).toHaveLength(10)
  expect(fake.calls()).toBe(10)
})

test('a refresh returns new tokens, and a refresh token can be used once', async () => {
  const { grant } = await connectAndRead()
  const fresh = await slack.refresh(identity, app, held(grant))
  expect(fresh.accessToken).not.toBe(grant.accessToken)
  expect(await listChannels(identity, app, { accessToken: fresh.accessToken ?? '' })).toHaveLength(3)
  await expect(slack.refresh(identity, app, held(grant))).rejects.toMatchObject({
    kind: 'revoked',
    reason: 'invalid_refresh_token',
  })
})

test('disconnecting revokes the token, even if it has expired or was already revoked', async () => {
  const { grant, target } = await connectAndRead()
  await slack.revoke(identity, app, held(grant))
  await expect(listChannels(identity, app, target)).rejects.toMatchObject({ reason: 'token_revoked' })
  await slack.revoke(identity, app, held(grant))
  const other = await connect()
  fake.tokens.expireAll()
  await slack.revoke(identity, app, held(other))
  expect(fake.tokens.all.at(-1)?.isRevoked).toBe(true)
})

test.each(['account_inactive', 'invalid_auth', 'token_revoked', 'token_expired'])(
  '%s means that the token was revoked',
  async reason => {
    const { target } = await connectAndRead()
    fake.answerNext(1, { status: 200, body: { ok: false, error: reason } })
    await expect(listChannels(identity, app, target)).rejects.toMatchObject({ kind: 'revoked', reason })
  },
)

test('a refusal keeps Slack’s error code as its reason', async () => {
  const { target } = await connectAndRead()
  fake.answerNext(1, { status: 200, body: { ok: false, error: 'missing_scope', needed: 'channels:read' } })
  await expect(listChannels(identity, app, target)).rejects.toMatchObject({
    kind: 'refused',
    reason: 'missing_scope',
  })
})

test('an internal error of Slack counts as unreachable', async () => {
  const { target } = await connectAndRead()
  fake.answerNext(1, { status: 200, body: { ok: false, error: 'internal_error' } })
  await expect(listChannels(identity, app, target)).rejects.toMatchObject({ kind: 'unreachable' })
})

test('a rate limit returns when to retry, and the client does not retry by itself', async () => {
  const { target } = await connectAndRead()
  fake.forgetCalls()
  fake.limitNext(1, { retryAfterSeconds: 90 })
  const before = Date.now()
  const error = await listChannels(identity, app, target).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ kind: 'rate_limited' })
  const { retryAt } = error as { retryAt: Date }
  expect(retryAt.getTime()).toBeGreaterThanOrEqual(before + 90_000)
  expect(fake.calls()).toBe(1)
})

test('a rate limit without Retry-After still counts as a rate limit', async () => {
  const { target } = await connectAndRead()
  fake.answerNext(1, { status: 429, body: { ok: false, error: 'ratelimited' } })
  await expect(listChannels(identity, app, target)).rejects.toMatchObject({ kind: 'rate_limited' })
})

test.each(['html', 'cut', 'empty', 'null', 'broken'] as const)(
  'an answer that is %s counts as unreachable',
  async garbage => {
    const { grant, target } = await connectAndRead()
    const unreachable = { kind: 'unreachable' }
    fake.garbleNext(1, garbage)
    await expect(listChannels(identity, app, target)).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage)
    await expect(slack.refresh(identity, app, held(grant))).rejects.toMatchObject(unreachable)
    fake.garbleNext(1, garbage, 'POST /api/oauth.v2.access')
    await expect(connect()).rejects.toMatchObject(unreachable)
  },
)

test('Slack is unreachable while it is down; the failure logs nothing and shows no token', async () => {
  const consoles = (['log', 'info', 'warn', 'error', 'debug'] as const).map(name => vi.spyOn(console, name))
  const { grant, target } = await connectAndRead()
  fake.goDown()
  for (const attempt of [
    listChannels(identity, app, target),
    slack.refresh(identity, app, held(grant)),
    slack.revoke(identity, app, held(grant)),
  ]) {
    const error: unknown = await attempt.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ProviderError)
    expect(error).toMatchObject({ kind: 'unreachable', cause: undefined })
  }
  fake.comeBack()
  expect(await listChannels(identity, app, target)).toHaveLength(3)
  for (const spy of consoles) {
    expect(spy).not.toHaveBeenCalled()
    spy.mockRestore()
  }
})

test('a call that Slack never answers ends at the deadline', async () => {
  const { target } = await connectAndRead()
  const deadline = new AbortController()
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal)
  const held = fake.hold()
  const call = listChannels(identity, app, target).catch((thrown: unknown) => thrown)
  await held.waiting(1)
  deadline.abort()
  expect(await call).toMatchObject({ kind: 'unreachable' })
  expect(timeout).toHaveBeenCalledExactlyOnceWith(UPSTREAM_TIMEOUT_MS)
  timeout.mockRestore()
  held.release()
})
