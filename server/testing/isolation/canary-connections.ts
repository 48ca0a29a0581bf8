import type { ClientBase } from 'pg'
import { expect } from 'vitest'
import { APP_URL } from '#server/rooms/connections/fixture.ts'
import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import { followOnce } from '../providers/browser.ts'
import { eachOf, openProviders, TEST_PROVIDERS } from '../providers/registry.ts'
import { endOf, eventOf, sign, WEBHOOK_ENVIRONMENT, WEBHOOK_SECRETS } from '../webhooks.ts'
import type { CanaryHouse, Sent } from './canary-house.ts'

// Accounts elsewhere: what providers give out for a user, planted to be searched for, and what goes wrong
// with it.

const SLACK_TOKEN = 'slack-verification-token'

export type CanaryProviders = Awaited<ReturnType<typeof openCanaryProviders>>

/** All providers, and what a server's environment says of them. */
export async function openCanaryProviders() {
  const opened = await openProviders(APP_URL)
  eachOf(opened, one => one.furnish())
  const fakes = eachOf(opened, ({ fake }) => fake)
  const grants = eachOf(opened, ({ tokens }) => tokens)
  const secrets = new Map<string, string>()

  /** A renewed grant forgets the tokens that it had. */
  function noteSecrets(): void {
    for (const provider of PROVIDERS) {
      for (const { accessToken, refreshToken } of grants[provider].all) {
        secrets.set(`an access token of ${provider}: ${accessToken}`, accessToken)
        if (refreshToken !== null)
          secrets.set(`a refresh token of ${provider}: ${refreshToken}`, refreshToken)
      }
      for (const { body } of fakes[provider].requests) {
        const verifier = /code_verifier=([^&]+)/.exec(body)?.[1]
        if (verifier) secrets.set(`a verifier for ${provider}: ${verifier}`, verifier)
      }
      secrets.set(`the client secret for ${provider}`, opened[provider].app.clientSecret)
      secrets.set(`the webhook secret of ${provider}`, WEBHOOK_SECRETS[provider])
    }
    secrets.set('the verification token of Slack', SLACK_TOKEN)
  }

  return {
    fakes,
    grants,
    noteSecrets,
    /** What a provider sends a browser back with. */
    noteCallback(provider: ProviderName, { searchParams }: URL): void {
      for (const name of ['code', 'state']) {
        const value = searchParams.get(name)
        if (value) secrets.set(`a ${name} of ${provider}: ${value}`, value)
      }
    },
    /** Everything that the providers gave out so far, by what it is. */
    secrets(): ReadonlyMap<string, string> {
      noteSecrets()
      return secrets
    },
    environment: {
      ...WEBHOOK_ENVIRONMENT,
      ...Object.assign({}, ...Object.values(eachOf(opened, ({ environment }) => environment))),
    } as Record<string, string>,
    async close() {
      await Promise.all(Object.values(fakes).map(fake => fake.close()))
    },
  }
}

interface Connected {
  readonly house: CanaryHouse
  readonly providers: CanaryProviders
  /** Of the user's session. */
  readonly token: string
}

/**
 * Connects an account at every provider, asks it, renews its tokens and hears from it. Returns the
 * connections' ids.
 */
export async function connectAccounts({ house, providers, token }: Connected): Promise<string[]> {
  const ids: string[] = []
  for (const provider of PROVIDERS) {
    const end = await house.open(await consent({ house, providers, token }, provider), token)
    expect(end.headers.get('location')).toContain(`connected=${provider}`)
    const { id: connectionId, externalId } = await connectionTo({ house, token }, provider)
    ids.push(connectionId)
    providers.noteSecrets()
    providers.grants[provider].expireAll()
    expect((await house.query(TEST_PROVIDERS[provider].call, { connectionId }, token)).status).toBe(200)
    providers.noteSecrets()
    expect((await house.webhook(provider, eventOf(provider, externalId))).status).toBe(200)
  }
  return ids
}

async function consent({ house, providers, token }: Connected, provider: ProviderName): Promise<URL> {
  const { status, text } = await house.browse('connections.authorize', { provider }, token)
  expect(status, text).toBe(200)
  const url = await followOnce(JSON.parse(text).result.data.json.url)
  providers.noteCallback(provider, url)
  return url
}

async function connectionTo(
  { house, token }: Pick<Connected, 'house' | 'token'>,
  provider: ProviderName,
): Promise<{ id: string; externalId: string }> {
  const { text } = await house.query('connections.list', undefined, token)
  const all: { id: string; provider: string; externalId: string }[] = JSON.parse(text).result.data.json
  const found = all.find(one => one.provider === provider)
  if (!found) throw new Error(`nothing is connected at ${provider}`)
  return found
}

/**
 * Everything that goes wrong with connections, for their owner too. What anybody is answered must hold no
 * token.
 */
export async function provokeWithConnections(
  connected: Connected,
  { owner, note }: { owner: Pick<ClientBase, 'query'>; note: (answer: Sent) => void },
): Promise<void> {
  const { house, providers, token } = connected
  for (const provider of PROVIDERS) {
    const { id: connectionId, externalId } = await connectionTo(connected, provider)
    const fake = providers.fakes[provider]
    const grant = () => providers.grants[provider].all.at(-1)
    const ask = async (status: number) => {
      const answer = await house.query(TEST_PROVIDERS[provider].call, { connectionId }, token)
      expect(answer.status, `${provider}: ${answer.text}`).toBe(status)
      note(answer)
    }
    // What is answered says what was sent.
    const echo = () => {
      const said = JSON.stringify(grant())
      return { ok: false, error: said, error_description: said, message: said, errors: [{ message: said }] }
    }
    fake.answerNext(1, { status: 400, body: echo() })
    await ask(502)
    providers.grants[provider].expireAll()
    for (const status of [200, 400, 500]) {
      await owner.query(
        `update app.connections set expires_at = now() where id = $1 and expires_at is not null`,
        [connectionId],
      )
      fake.answerNext(1, { status, body: echo() }, TEST_PROVIDERS[provider].tokenEndpoint)
      const { status: refused, ...answer } = await house.query(
        TEST_PROVIDERS[provider].call,
        { connectionId },
        token,
      )
      expect(refused, answer.text).toBeGreaterThan(400)
      note({ status: refused, ...answer })
    }
    fake.garbleNext(1, 'cut', TEST_PROVIDERS[provider].tokenEndpoint)
    await ask(502)

    // A callback that is answered so, one that comes twice, and one that nobody began.
    const callback = await consent(connected, provider)
    fake.answerNext(1, { status: 400, body: echo() }, TEST_PROVIDERS[provider].tokenEndpoint)
    note(await house.open(callback, token))
    note(await house.open(callback, token))
    note(await house.open(callback, ''))

    const event = eventOf(provider, externalId)
    note(await house.webhook(provider, { ...event, headers: { 'content-type': 'application/json' } }))
    note(await house.webhook(provider, sign(provider, '{"token":', {})))

    // Faults that nobody expects are logged whole.
    await owner.query('alter table app.connections rename column icon to icons')
    note(await house.open(await consent(connected, provider), token))
    await owner.query('alter table app.connections rename column icons to icon')
    providers.noteSecrets()

    // A token that is not in its place.
    await owner.query('update app.connections set access_token = refresh_token where id = $1', [connectionId])
    await ask(422)
    note(await house.query('connections.list', undefined, token))
    const end = endOf(provider, externalId)
    if (end) note(await house.webhook(provider, end))
  }
  providers.noteSecrets()
}
