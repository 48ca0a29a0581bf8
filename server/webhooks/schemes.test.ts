import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect as connectTo, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProviderName } from '#server/rooms/connections/schema.ts'
import type { RunningServer } from '#server/start.ts'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import {
  connect,
  eventOf,
  hmac,
  linearEvent,
  newExternalId,
  readDeliveries,
  readEvents,
  type Sent,
  type SentHeaders,
  sign,
  slackEvent,
  WEBHOOK_ENVIRONMENT,
  WEBHOOK_SECRETS,
} from '#server/testing/webhooks.ts'
import { post, startWebhookServer, without } from './fixture.ts'

// Tests what is specific to each provider's scheme, with a whole server over HTTP.

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

const EXAMPLES: readonly { name: string; examples: object[] }[] = createRequire(import.meta.url)(
  '@octokit/webhooks-examples/api.github.com/index.json',
)

/** Sends all but the last byte of a body, and keeps the connection open. */
async function sendSlowly(sizeBytes: number): Promise<Socket> {
  const { hostname, port } = new URL(server.url)
  const socket = connectTo(Number(port), hostname).on('error', () => {})
  await once(socket, 'connect')
  socket.write(
    `POST /webhooks/github HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${sizeBytes}\r\n\r\n`,
  )
  await new Promise(resolve => socket.write(Buffer.alloc(sizeBytes - 1, 'x'), resolve))
  return socket
}

async function expectRefused(provider: ProviderName, sent: Sent): Promise<void> {
  const answer = await post(server, provider, sent)
  expect(answer.status, answer.text).toBe(401)
  expect(JSON.parse(answer.text)).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
}

describe('a webhook of Slack', () => {
  const body = () => JSON.stringify(slackEvent(newExternalId('slack'), { type: 'message' }))
  const seconds = () => Math.floor(Date.now() / 1_000)

  // Leaves a margin for future times, since the server's clock advances until the request arrives.
  it.each([-301, 330, -86_400, 86_400])('is refused %d seconds off', async offset => {
    await expectRefused('slack', sign('slack', body(), { at: seconds() + offset }))
  })

  it.each([-290, 290])('is accepted %d seconds off', async offset => {
    expect(await post(server, 'slack', sign('slack', body(), { at: seconds() + offset }))).toMatchObject({
      status: 200,
    })
  })

  it('is refused with a missing, invalid or repeated time', async () => {
    const name = 'x-slack-request-timestamp'
    const sent = sign('slack', body())
    const time = String(sent.headers[name])
    await expectRefused('slack', without(sent, name))
    for (const value of ['', 'now', `${time}.5`, `-${time}`, '1e9', [time, time], String(Number(time) + 1)]) {
      await expectRefused('slack', { ...sent, headers: { ...sent.headers, [name]: value } })
    }
    for (const at of ['NaN', ' ', '9'.repeat(400)]) {
      const headers = {
        [name]: at,
        'x-slack-signature': `v0=${hmac(WEBHOOK_SECRETS.slack, `v0:${at}:`, sent.body)}`,
      }
      await expectRefused('slack', { ...sent, headers: { ...sent.headers, ...headers } })
    }
  })

  it('that verifies the URL is answered with its challenge, if it is signed', async () => {
    const question = JSON.stringify({ token: 'x', challenge: '3eZbrw1aB', type: 'url_verification' })
    expect(await post(server, 'slack', sign('slack', question))).toMatchObject({
      status: 200,
      text: '3eZbrw1aB',
    })
    await expectRefused('slack', sign('slack', question, { secret: 'another secret' }))
    expect(await readDeliveries(house, '3eZbrw1aB')).toEqual([])
  })

  it('reaches the authorized teams, not the team in which a shared channel’s event arose', async () => {
    const [ada, eve] = [await createActor(house), await createActor(house, { name: 'Eve' })]
    const authorized = await connect(ada, 'slack')
    const origin = await connect(eve, 'slack')
    const authorizations = [{ team_id: authorized.externalId, is_enterprise_install: false }]
    await post(server, 'slack', eventOf('slack', origin.externalId, { authorizations }))
    expect(await readEvents(house, authorized.id)).toHaveLength(1)
    expect(await readEvents(house, origin.id)).toEqual([])
  })
})

describe('a webhook of Linear', () => {
  const MINUTE_MS = 60_000

  // Only the signature counts: Linear's retries repeat the first attempt's bytes, and clocks may differ.
  it.each([-MINUTE_MS - 1_000, -6 * 60 * MINUTE_MS, -24 * 60 * MINUTE_MS, 90_000])(
    'that was signed %d milliseconds off is accepted',
    async offset => {
      const { id, externalId } = await connect(await createActor(house), 'linear')
      const body = JSON.stringify(linearEvent(externalId, { webhookTimestamp: Date.now() + offset }))
      expect(await post(server, 'linear', sign('linear', body))).toMatchObject({ status: 200 })
      expect(await readEvents(house, id)).toHaveLength(1)
    },
  )

  it('that is older than the deliveries by which copies are recognised is refused', async () => {
    const webhookTimestamp = Date.now() - 31 * 24 * 60 * MINUTE_MS
    const body = linearEvent(newExternalId('linear'), { webhookTimestamp })
    await expectRefused('linear', sign('linear', JSON.stringify(body)))
  })

  it('is identified by its body, whatever its headers say', async () => {
    const { id, externalId } = await connect(await createActor(house), 'linear')
    const sent = eventOf('linear', externalId)
    for (const deliveryId of [randomUUID(), randomUUID(), undefined]) {
      const headers = deliveryId
        ? { ...sent.headers, 'linear-delivery': deliveryId }
        : without(sent, 'linear-delivery').headers
      expect(await post(server, 'linear', { ...sent, headers })).toMatchObject({ status: 200 })
    }
    expect(await readEvents(house, id)).toHaveLength(1)
  })
})

describe('a webhook of GitHub', () => {
  it('that pings is stored for the operator', async () => {
    const zen = `Keep it logically awesome. ${randomUUID()}`
    const sent = sign('github', JSON.stringify({ zen, hook_id: 7 }), {
      headers: { 'x-github-event': 'ping' },
    })
    expect(await post(server, 'github', sent)).toMatchObject({ status: 200 })
    expect(await readDeliveries(house, zen)).toMatchObject([{ event_type: 'ping' }])
  })

  it('of every kind with a published example of GitHub is accepted', async () => {
    const refused: string[] = []
    for (const { name, examples } of EXAMPLES) {
      for (const example of examples) {
        const headers = { 'x-github-event': name }
        const answer = await post(server, 'github', sign('github', JSON.stringify(example), { headers }))
        if (answer.status !== 200) refused.push(`${name}: ${answer.status} ${answer.text}`)
      }
    }
    expect(refused).toEqual([])
    expect(EXAMPLES.flatMap(({ examples }) => examples).length).toBeGreaterThan(300)
  })

  it('whose signed body was stored is not stored again under another delivery id or event', async () => {
    const { id, externalId } = await connect(await createActor(house), 'github')
    const sent = eventOf('github', externalId)
    for (const headers of [
      {} as SentHeaders,
      { 'x-github-delivery': randomUUID() },
      { 'x-github-event': 'installation' },
    ]) {
      expect(
        await post(server, 'github', { ...sent, headers: { ...sent.headers, ...headers } }),
      ).toMatchObject({
        status: 200,
      })
    }
    expect(await readEvents(house, id)).toHaveLength(1)
    expect(await readDeliveries(house, externalId)).toHaveLength(1)
  })

  it('of 24 MB is accepted, with NUL and lone surrogates in it', async () => {
    const { id, externalId } = await connect(await createActor(house), 'github')
    const commits = (count: number) =>
      Array.from({ length: count }, (_, n) => ({ id: n, message: `${'\0'}${'x'.repeat(1_000)}\ud800` }))
    const largest = eventOf('github', externalId, { commits: commits(24_000) })
    expect(largest.body.length).toBeGreaterThan(24_000_000)
    expect(await post(server, 'github', largest)).toMatchObject({ status: 200 })
    expect(await readEvents(house, id)).toHaveLength(1)
  })

  it('of several megabytes is refused while others use up the memory, and small ones are not', async () => {
    const largeEvent = () => eventOf('github', newExternalId('github'), { text: 'x'.repeat(6_000_000) })
    const held = await Promise.all(Array.from({ length: 4 }, () => sendSlowly(25 * 1024 * 1024)))
    await expect
      .poll(async () => post(server, 'github', largeEvent()))
      .toMatchObject({ status: 503, retryAfter: '1' })
    expect(await post(server, 'github', eventOf('github', newExternalId('github')))).toMatchObject({
      status: 200,
    })
    for (const socket of held) socket.destroy()
    await expect.poll(async () => post(server, 'github', largeEvent())).toMatchObject({ status: 200 })
  })

  it('needs exactly one delivery id and one event', async () => {
    for (const name of ['x-github-delivery', 'x-github-event']) {
      const sent = eventOf('github', newExternalId('github'))
      expect(await post(server, 'github', without(sent, name))).toMatchObject({ status: 400 })
      const doubled = { ...sent.headers, [name]: [String(sent.headers[name]), 'other'] }
      expect(await post(server, 'github', { ...sent, headers: doubled })).toMatchObject({ status: 400 })
    }
  })
})
