import { hash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NO_PROVIDERS } from '#server/app/config/providers.ts'
import { type Actor, createActor, createApiToken, openHouse, startSession } from '#server/testing/actors.ts'
import { followOnce } from '#server/testing/providers/browser.ts'
import { browserOf, type ConnectedHouse, createAda, openConnectedHouse } from './fixture.ts'
import { PROVIDERS } from './schema.ts'

// Callbacks of flows that this browser did not start.

let connected: ConnectedHouse
let ada: Actor
let bob: Actor

beforeAll(async () => {
  connected = await openConnectedHouse()
})

beforeEach(async () => {
  ada = await createAda(connected)
  bob = await createActor(connected.house, { name: 'Bob' })
})

afterAll(() => connected.close())

async function countRows(): Promise<number> {
  const { rows } = await connected.house.owner.query('select count(*)::int as n from app.connections')
  return rows[0].n
}

/** Opens the callback and asserts that it has no effect: no row, no exchanged code, no redirect. */
async function expectPlainRefusal(url: URL, actor: Actor | null): Promise<void> {
  const before = await countRows()
  const traded = connected.fakes.linear.calls('POST /oauth/token')
  const { status, location, body } = await connected.open(url, actor)
  expect({ status, location }).toEqual({ status: 400, location: null })
  for (const value of url.searchParams.values()) if (value) expect(body).not.toContain(value)
  expect(await countRows()).toBe(before)
  expect(connected.fakes.linear.calls('POST /oauth/token')).toBe(traded)
}

async function expectRefusal(url: URL, actor: Actor, error: string): Promise<void> {
  const before = await countRows()
  const traded = connected.fakes.linear.calls('POST /oauth/token')
  const { status, location } = await connected.open(url, actor)
  expect(status).toBe(303)
  expect(location?.href).toBe(`http://localhost:3000/?error=${error}`)
  expect(await countRows()).toBe(before)
  expect(connected.fakes.linear.calls('POST /oauth/token')).toBe(traded)
}

function without(url: URL, name: string): URL {
  const changed = new URL(url)
  changed.searchParams.delete(name)
  return changed
}

describe('a callback is rejected', () => {
  test('without a state, with an empty one, or with two', async () => {
    const url = await connected.consent(ada, 'linear')
    await expectPlainRefusal(without(url, 'state'), ada)
    const empty = new URL(url)
    empty.searchParams.set('state', '')
    await expectPlainRefusal(empty, ada)
    const doubled = new URL(url)
    doubled.searchParams.append('state', 'another')
    await expectPlainRefusal(doubled, ada)
  })

  test('with an unknown state, or with the hash of a real one', async () => {
    const url = await connected.consent(ada, 'linear')
    const { rows } = await connected.house.owner.query(
      `select encode(state_hash, 'hex') as hash from app.oauth_states where user_id = $1`,
      [ada.userId],
    )
    for (const state of ['a'.repeat(43), rows[0].hash, "' or true --", '\u0000', '%00', 'x'.repeat(5_000)]) {
      const forged = new URL(url)
      forged.searchParams.set('state', state)
      await expectPlainRefusal(forged, ada)
    }
  })

  test('with another user’s state, which that user can still use', async () => {
    const url = await connected.consent(ada, 'linear')
    await expectPlainRefusal(url, bob)
    const { location } = await connected.open(url, ada)
    expect(location?.searchParams.get('connected')).toBe('linear')
  })

  test('in another browser of the same user', async () => {
    await expectPlainRefusal(await connected.consent(ada, 'linear'), await startSession(ada))
  })

  test('in a browser without a session, or with one that has expired', async () => {
    const url = await connected.consent(ada, 'linear')
    await expectPlainRefusal(url, null)
    await expectPlainRefusal(url, { ...ada, token: `${ada.token}x` })
    await connected.house.owner.query('delete from auth.sessions where id = $1', [ada.sessionId])
    await expectPlainRefusal(url, ada)
  })

  test('with a session in a header instead of the cookie', async () => {
    const { caller } = ada
    await expect(caller().connections.authorize({ provider: 'linear' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      cause: { reason: 'missing_scope', message: expect.stringContaining('cookie') },
    })
    const token = await createApiToken(ada, { scopes: ['connections:write'] })
    await expect(token.caller().connections.authorize({ provider: 'linear' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
    await expect(browserOf(ada).connections.authorize({ provider: 'linear' })).resolves.toBeDefined()
  })

  test('when its state was used before, even if that use failed', async () => {
    const url = await connected.consent(ada, 'linear')
    await connected.open(url, ada)
    await expectPlainRefusal(url, ada)
    const declined = await connected.consent(ada, 'linear')
    const refused = without(declined, 'code')
    refused.searchParams.set('error', 'access_denied')
    await expectRefusal(refused, ada, 'access_denied')
    await expectPlainRefusal(declined, ada)
  })

  test('all but once if it is opened many times at once', async () => {
    const url = await connected.consent(ada, 'linear')
    const ends = await Promise.all(Array.from({ length: 20 }, () => connected.open(url, ada)))
    expect(ends.filter(({ status }) => status === 303)).toHaveLength(1)
    expect(ends.filter(({ status }) => status === 400)).toHaveLength(19)
  })

  test('when its state is older than ten minutes; the sweep deletes it an hour later', async () => {
    const url = await connected.consent(ada, 'linear')
    const age = (interval: string) =>
      connected.house.owner.query(
        `update app.oauth_states set expires_at = now() - $2::interval where user_id = $1`,
        [ada.userId, interval],
      )
    await age('1 second')
    await expectRefusal(url, ada, 'expired_state')
    await connected.consent(ada, 'linear')
    const count = async () => {
      const { rows } = await connected.house.owner.query(
        'select count(*)::int as n, min(expires_at - created_at)::text as life from app.oauth_states where user_id = $1',
        [ada.userId],
      )
      return rows[0]
    }
    expect(await count()).toEqual({ n: 1, life: '00:10:00' })
    await connected.house.services.pools.system.sweep('oauthStates')
    expect(await count()).toMatchObject({ n: 1 })
    await age('2 hours')
    await connected.house.services.pools.system.sweep('oauthStates')
    expect(await count()).toMatchObject({ n: 0 })
  })

  test('at another provider, and at one that does not exist', async () => {
    const url = await connected.consent(ada, 'linear')
    const unknown = new URL(url)
    unknown.pathname = '/oauth/gitlab/callback'
    expect((await connected.open(unknown, ada)).status).toBe(404)
    const other = new URL(url)
    other.pathname = '/oauth/notion/callback'
    const asked = connected.fakes.notion.requests.length
    await expectRefusal(other, ada, 'wrong_provider')
    expect(connected.fakes.notion.requests.length).toBe(asked)
    await expectPlainRefusal(url, ada)
  })

  test('when its verifier is missing, or is another flow’s', async () => {
    const first = await connected.consent(ada, 'linear')
    await connected.house.owner.query('update app.oauth_states set code_verifier = null where user_id = $1', [
      ada.userId,
    ])
    await expectRefusal(first, ada, 'missing_verifier')
    const mine = await connected.consent(ada, 'linear')
    await connected.consent(bob, 'linear')
    await connected.house.owner.query(
      `update app.oauth_states set code_verifier = (select code_verifier from app.oauth_states where user_id = $2)
       where user_id = $1`,
      [ada.userId, bob.userId],
    )
    await expectRefusal(mine, ada, 'missing_verifier')
  })

  test('without a code, or with an error of the provider', async () => {
    await expectRefusal(without(await connected.consent(ada, 'linear'), 'code'), ada, 'missing_code')
    const requested = without(without(await connected.consent(ada, 'github'), 'code'), 'installation_id')
    requested.searchParams.set('setup_action', 'request')
    await expectRefusal(requested, ada, 'installation_requested')
    for (const [error, word] of [
      ['access_denied', 'access_denied'],
      ['server_error', 'provider_refused'],
      ['<script>', 'provider_refused'],
    ] as const) {
      const url = await connected.consent(ada, 'linear')
      url.searchParams.set('error', error)
      await expectRefusal(url, ada, word)
    }
  })

  test('with another flow’s code: the verifiers differ', async () => {
    const mine = await connected.consent(ada, 'linear')
    const theirs = await connected.consent(bob, 'linear')
    mine.searchParams.set('code', theirs.searchParams.get('code') ?? '')
    const { location } = await connected.open(mine, ada)
    expect(location?.href).toBe('http://localhost:3000/?error=provider_refused')
    expect(await ada.caller().connections.list()).toEqual([])
  })

  test('while the provider is down or limits calls', async () => {
    const { linear } = connected.fakes
    const first = await connected.consent(ada, 'linear')
    linear.garbleNext(1, 'broken', 'POST /oauth/token')
    const { location } = await connected.open(first, ada)
    expect(location?.href).toBe('http://localhost:3000/?error=provider_unreachable')
    const second = await connected.consent(ada, 'linear')
    linear.answerNext(1, { status: 429, headers: { 'retry-after': '9' } }, 'POST /oauth/token')
    expect((await connected.open(second, ada)).location?.href).toBe(
      'http://localhost:3000/?error=rate_limited',
    )
    expect(await ada.caller().connections.list()).toEqual([])
  })

  test('for a GitHub installation that the connecting user cannot list', async () => {
    const { github } = connected.fakes
    const foreign = github.install({
      login: 'victim',
      type: 'Organization',
      repositories: 1,
      visibleTo: ['victim'],
    })
    const url = await connected.consent(ada, 'github')
    url.searchParams.set('installation_id', String(foreign.id))
    const { location } = await connected.open(url, ada)
    expect(location?.href).toBe('http://localhost:3000/?error=provider_refused')
    expect(await ada.caller().connections.list()).toEqual([])
  })
})

test('neither the state nor its verifier is stored in plain text', async () => {
  const url = await connected.consent(ada, 'linear')
  const state = url.searchParams.get('state') ?? ''
  const { rows } = await connected.house.owner.query('select * from app.oauth_states where user_id = $1', [
    ada.userId,
  ])
  const { state_hash: stored, ...shown } = rows[0]
  expect(stored).toEqual(hash('sha256', state, 'buffer'))
  expect(JSON.stringify(shown)).not.toContain(state)
  expect(rows[0].code_verifier).toMatch(/^rh1\./)
})

test('without configured providers, the list says so and no flow starts', async () => {
  const house = await openHouse({ providers: NO_PROVIDERS })
  try {
    const actor = await createActor(house)
    const listed = await browserOf(actor).connections.providers()
    expect(listed.map(({ configured }) => configured)).toEqual(PROVIDERS.map(() => false))
    for (const provider of PROVIDERS) {
      await expect(browserOf(actor).connections.authorize({ provider })).rejects.toMatchObject({
        code: 'PRECONDITION_FAILED',
        cause: { reason: 'provider_not_configured' },
      })
    }
  } finally {
    await house.close()
  }
})

test('each authorization URL has its own state, and Linear’s has a PKCE challenge', async () => {
  const states = new Set<string | null>()
  for (const provider of PROVIDERS) {
    const { url } = await browserOf(ada).connections.authorize({ provider })
    const { searchParams } = new URL(url)
    states.add(searchParams.get('state'))
    expect(searchParams.get('code_challenge_method')).toBe(provider === 'linear' ? 'S256' : null)
    expect((await followOnce(url)).pathname).toBe(`/oauth/${provider}/callback`)
  }
  expect(states.size).toBe(PROVIDERS.length)
  for (const state of states) expect(state?.length).toBeGreaterThan(40)
})
