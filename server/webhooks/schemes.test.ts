import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProviderName } from '../connections/schema.ts'
import type { RunningServer } from '../start.ts'
import { createActor, type House, openHouse } from '../testing/actors.ts'
import {
  connect,
  eventOf,
  hmac,
  linearEvent,
  newExternalId,
  readDeliveries,
  readEvents,
  type Sent,
  sign,
  slackEvent,
  WEBHOOK_ENVIRONMENT,
  WEBHOOK_SECRETS,
} from '../testing/webhooks.ts'
import { post, startWebhookServer, without } from './fixture.ts'

// What each provider's scheme has and the others' have not. The server is a whole one, over HTTP.

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

async function expectRefused(provider: ProviderName, sent: Sent): Promise<void> {
  const answer = await post(server, provider, sent)
  expect(answer.status, answer.text).toBe(401)
  expect(JSON.parse(answer.text)).toMatchObject({ code: 'UNAUTHORIZED', reason: 'unauthenticated' })
}

describe('a webhook of Slack', () => {
  const body = () => JSON.stringify(slackEvent(newExternalId('slack'), { type: 'message' }))
  const seconds = () => Math.floor(Date.now() / 1_000)

  // With room where the time is to come: until the request arrives, the server's clock gains on it.
  it.each([-301, 330, -86_400, 86_400])('is refused %d seconds off', async offset => {
    await expectRefused('slack', sign('slack', body(), { at: seconds() + offset }))
  })

  it.each([-290, 290])('is taken %d seconds off', async offset => {
    expect(await post(server, 'slack', sign('slack', body(), { at: seconds() + offset }))).toMatchObject({
      status: 200,
    })
  })

  it('is refused without its time, with a garbled or a doubled one', async () => {
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

  it('that verifies the address is answered with its challenge, if it is signed', async () => {
    const question = JSON.stringify({ token: 'x', challenge: '3eZbrw1aB', type: 'url_verification' })
    expect(await post(server, 'slack', sign('slack', question))).toMatchObject({
      status: 200,
      text: '3eZbrw1aB',
    })
    await expectRefused('slack', sign('slack', question, { secret: 'another secret' }))
    expect(await readDeliveries(house, '3eZbrw1aB')).toEqual([])
  })

  it('reaches the teams that it is authorized for, not the one where a shared channel’s event arose', async () => {
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
  it.each([-61_000, 90_000, -86_400_000])('is refused %d milliseconds off', async offset => {
    const body = linearEvent(newExternalId('linear'), { webhookTimestamp: Date.now() + offset })
    await expectRefused('linear', sign('linear', JSON.stringify(body)))
  })

  it.each([undefined, null, 'now', '', {}, true])(
    'is refused with %j for its time',
    async webhookTimestamp => {
      const body = linearEvent(newExternalId('linear'), { webhookTimestamp })
      await expectRefused('linear', sign('linear', JSON.stringify(body)))
    },
  )

  it('without a delivery header is known by its body', async () => {
    const { id, externalId } = await connect(await createActor(house), 'linear')
    const sent = without(eventOf('linear', externalId), 'linear-delivery')
    for (let copy = 0; copy < 3; copy++)
      expect(await post(server, 'linear', sent)).toMatchObject({ status: 200 })
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

  it('needs one delivery id and one event', async () => {
    for (const name of ['x-github-delivery', 'x-github-event']) {
      const sent = eventOf('github', newExternalId('github'))
      expect(await post(server, 'github', without(sent, name))).toMatchObject({ status: 400 })
      const doubled = { ...sent.headers, [name]: [String(sent.headers[name]), 'other'] }
      expect(await post(server, 'github', { ...sent, headers: doubled })).toMatchObject({ status: 400 })
    }
  })
})
