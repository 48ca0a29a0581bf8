import { randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { PROVIDERS, type ProviderName } from '#server/rooms/connections/schema.ts'
import type { RunningServer } from '#server/start.ts'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { TEST_PROVIDERS } from '#server/testing/providers/registry.ts'
import {
  connect,
  endOf,
  eventOf,
  newExternalId,
  readConnection,
  readDeliveries,
  readEvents,
  type Sent,
  type SentHeaders,
  sign,
  WEBHOOK_ENVIRONMENT,
} from '#server/testing/webhooks.ts'
import { post, startWebhookServer, without } from './fixture.ts'

// Tests a whole server over HTTP, with headers of the sender's choice.

let house: House
let server: RunningServer

beforeAll(async () => {
  house = await openHouse()
  server = await startWebhookServer(house, WEBHOOK_ENVIRONMENT)
})

afterAll(async () => {
  await server.stop()
  await house.close()
})

/** A signed event with a changed signature. */
function withSignature(provider: ProviderName, change: (signature: string) => string | string[]): Sent {
  const sent = eventOf(provider, newExternalId(provider), { mark: randomUUID() })
  const name = TEST_PROVIDERS[provider].webhook.signatureHeader
  return { ...sent, headers: { ...sent.headers, [name]: change(String(sent.headers[name])) } }
}

async function expectRefused(provider: ProviderName, sent: Sent): Promise<void> {
  const answer = await post(server, provider, sent)
  expect(answer.status, answer.text).toBe(401)
  expect(JSON.parse(answer.text)).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
}

async function countDeliveries(): Promise<number> {
  const { rows } = await house.owner.query<{ count: number }>(
    'select count(*)::int as count from app.webhook_deliveries',
  )
  return rows[0]?.count ?? -1
}

describe.each(PROVIDERS)('a webhook of %s', provider => {
  it('is stored without its signature, with an event for the connection that it names', async () => {
    const ada = await createActor(house)
    const { id, externalId } = await connect(ada, provider)
    const sent = eventOf(provider, externalId)
    expect(await post(server, provider, sent)).toMatchObject({ status: 200, text: '' })

    const [event, ...others] = await readEvents(house, id)
    expect(others).toEqual([])
    expect(event).toMatchObject({ user_id: ada.userId, provider })
    const [delivery, ...more] = await readDeliveries(house, externalId)
    expect(more).toEqual([])
    expect(delivery).toMatchObject({ id: event?.delivery_id, provider, payload: event?.payload })
    const stored = JSON.stringify([delivery, event])
    expect(stored).not.toContain(String(sent.headers[TEST_PROVIDERS[provider].webhook.signatureHeader]))
    expect(stored).not.toContain('slack-verification-token')
    await expect.poll(async () => (await readEvents(house, id))[0]?.status).toBe('processed')
  })

  it('is refused with a missing, invalid, short or repeated signature', async () => {
    const { signatureHeader } = TEST_PROVIDERS[provider].webhook
    const before = await countDeliveries()
    await expectRefused(
      provider,
      without(
        withSignature(provider, one => one),
        signatureHeader,
      ),
    )
    const changes: ((signature: string) => string | string[])[] = [
      () => '',
      () => 'garbage',
      () => 'é'.repeat(40),
      () => `sha256=${'z'.repeat(64)}`,
      signature => signature.slice(0, -2),
      signature => `${signature}00`,
      signature => signature.slice(0, -1) + (signature.endsWith('0') ? '1' : '0'),
      signature => signature.toUpperCase(),
      signature => `${signature}, ${signature}`,
      signature => [signature, signature],
      signature => ['garbage', signature],
      () => 'a'.repeat(4_000),
    ]
    // A signature of digits only would stay unchanged.
    if (String(eventOf(provider, newExternalId(provider)).headers[signatureHeader]).includes('='))
      changes.push(signature => signature.replace(/^.*=/, ''))
    for (const change of changes) await expectRefused(provider, withSignature(provider, change))
    expect(await countDeliveries()).toBe(before)
  })

  it('is refused with the signature of another body, or by another secret', async () => {
    const other = eventOf(provider, newExternalId(provider))
    const sent = eventOf(provider, newExternalId(provider))
    await expectRefused(provider, { body: sent.body, headers: other.headers })
    await expectRefused(provider, sign(provider, sent.body, { secret: 'another secret' }))
    await expectRefused(provider, { ...sent, body: `${sent.body} ` })
    await expectRefused(provider, sign(provider, '', { secret: 'another secret' }))
  })

  it('is refused if its bytes are not text', async () => {
    const bytes = randomBytes(500)
    await expectRefused(provider, sign(provider, bytes, { secret: 'another secret' }))
    const { status } = await post(server, provider, sign(provider, bytes))
    expect([400, 401]).toContain(status)
  })

  it('is answered with a 4xx if it is signed but not of the provider’s form', async () => {
    const before = await countDeliveries()
    const nested = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const bodies = [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      '{}',
      nested,
      `{"a":${nested}}`,
      JSON.stringify({ type: 'event_callback', id: 7, event_id: {}, installation: 'x', organizationId: [] }),
      JSON.stringify({ type: 'a\0b', action: 'a\0b', id: 'a\0b', event_id: 'a\0b', event: { type: 'a\0b' } }),
    ]
    for (const body of bodies) {
      const headers: SentHeaders = provider === 'github' ? { 'x-github-event': 'Push!' } : {}
      const { status, text } = await post(server, provider, sign(provider, body, { headers }))
      expect([400, 401], `${body.slice(0, 40)}: ${text}`).toContain(status)
    }
    expect(await countDeliveries()).toBe(before)
  })

  it('of any form, if signed, is never answered with a 5xx', async () => {
    const known = fc.constantFrom(
      'id',
      'type',
      'action',
      'event',
      'event_id',
      'team_id',
      'authorizations',
      'installation',
      'account',
      'organizationId',
      'workspace_id',
      'tokens',
      'challenge',
      'verification_token',
    )
    const object = fc.dictionary(fc.oneof(known, fc.string({ unit: 'binary' })), fc.jsonValue(), {
      maxKeys: 8,
    })
    const type = fc.constantFrom('event_callback', 'url_verification', 'app_rate_limited', 'OAuthApp', 7)
    const body = fc.record({ base: object, event: object, type }).map(parts => {
      const { base, event } = parts
      return JSON.stringify({ ...base, event, type: parts.type, webhookTimestamp: Date.now() })
    })
    await fc.assert(
      fc.asyncProperty(body, async text => {
        const { status } = await post(server, provider, sign(provider, text))
        expect([200, 400]).toContain(status)
      }),
      { numRuns: 150 },
    )
  })

  it('replaces characters that Postgres cannot store', async () => {
    const ada = await createActor(house)
    const { id, externalId } = await connect(ada, provider)
    const { body } = eventOf(provider, externalId, { odd: 'ODD' })
    const odd = String.raw`{"a\u0000b":"x\u0000y","lone":"\ud800!","constructor":1,"__proto__":{"z":1},"deep":[{"prototype":1e999}]}`
    const sent = sign(provider, String(body).replace('"ODD"', odd))
    expect(await post(server, provider, sent)).toMatchObject({ status: 200 })
    const [event] = await readEvents(house, id)
    expect(event?.payload).toMatchObject({
      odd: {
        'a\uFFFDb': 'x\uFFFDy',
        lone: '\uFFFD!',
        constructor_: 1,
        __proto___: { z: 1 },
        deep: [{ prototype_: null }],
      },
    })
    const read = await ada.caller().events.get({ id: String(event?.id) })
    expect(read.payload).toEqual(event?.payload)
  })

  it('of the largest size is stored, and a larger one is not', async () => {
    const maxBytes = (provider === 'github' ? 25 : 1) * 1024 * 1024
    const ada = await createActor(house)
    const { id, externalId } = await connect(ada, provider)
    const size = Buffer.byteLength(eventOf(provider, externalId, { filler: '' }).body)
    const fits = eventOf(provider, externalId, { filler: 'x'.repeat(maxBytes - size - 10) })
    expect(await post(server, provider, fits)).toMatchObject({ status: 200 })
    const large = eventOf(provider, externalId, { filler: 'x'.repeat(maxBytes) })
    expect(await post(server, provider, large)).toMatchObject({ status: 413 })
    expect(await readEvents(house, id)).toHaveLength(1)
  })

  it('that names no connection is stored for the operator', async () => {
    const externalId = newExternalId(provider)
    expect(await post(server, provider, eventOf(provider, externalId))).toMatchObject({ status: 200 })
    const [delivery] = await readDeliveries(house, externalId)
    const { rows } = await house.owner.query('select * from app.webhook_events where delivery_id = $1', [
      delivery?.id,
    ])
    expect([delivery?.provider, rows]).toEqual([provider, []])
  })

  it('reaches two users of one workspace, and no other, revoked or broken connection', async () => {
    const [ada, bob, eve, mia, joe] = await Promise.all(
      ['Ada', 'Bob', 'Eve', 'Mia', 'Joe'].map(name => createActor(house, { name })),
    )
    if (!ada || !bob || !eve || !mia || !joe) throw new Error('an actor is missing')
    const externalId = newExternalId(provider)
    await Promise.all([
      connect(ada, provider, { externalId }),
      connect(bob, provider, { externalId }),
      connect(eve, provider),
      connect(mia, provider, { externalId, status: 'revoked' }),
      connect(joe, provider, { externalId, status: 'error' }),
      connect(eve, provider === 'slack' ? 'linear' : 'slack', { externalId }),
    ])
    expect(await post(server, provider, eventOf(provider, externalId))).toMatchObject({ status: 200 })
    const counts = await Promise.all(
      [ada, bob, eve, mia, joe].map(async actor => (await actor.caller().events.list()).items.length),
    )
    expect(counts).toEqual([1, 1, 0, 0, 0])
  })

  it('in a thousand concurrent copies is one delivery, with one event and one effect per connection', async () => {
    const [ada, bob] = [await createActor(house), await createActor(house)]
    const first = await connect(ada, provider)
    const { externalId } = first
    const second = await connect(bob, provider, { externalId })
    const end = endOf(provider, externalId)
    const sent = end ?? eventOf(provider, externalId)
    const deliver = async (): Promise<number> => {
      const { status, retryAfter } = await post(server, provider, sent)
      // Refused because of load: the provider sends it again.
      if (status === 503 && retryAfter !== undefined) return deliver()
      return status
    }
    const statuses = await Promise.all(Array.from({ length: 1_000 }, deliver))
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(await readDeliveries(house, externalId)).toHaveLength(1)
    for (const { id } of [first, second]) {
      expect(await readEvents(house, id)).toHaveLength(1)
      await expect.poll(async () => (await readEvents(house, id))[0]?.status).toBe('processed')
      expect((await readEvents(house, id))[0]?.attempts).toBe(1)
      const effect = end ? { status: 'revoked', token_version: 1 } : { status: 'active', token_version: 0 }
      expect(await readConnection(house, id)).toMatchObject(effect)
    }
  })
})

describe('the address', () => {
  test('route of an unknown provider does not exist, and a provider’s accepts only POST', async () => {
    for (const name of ['gitlab', 'constructor', '__proto__', '%00']) {
      expect(await post(server, name, sign('github', '{}'))).toMatchObject({ status: 404 })
    }
    expect((await fetch(`${server.url}/webhooks/github`)).status).toBe(405)
  })

  test('answers a body without a content type', async () => {
    const { externalId } = await connect(await createActor(house), 'github')
    const sent = without(eventOf('github', externalId), 'content-type')
    expect(await post(server, 'github', sent)).toMatchObject({ status: 200 })
    await expectRefused('github', { body: '', headers: {} })
  })
})
