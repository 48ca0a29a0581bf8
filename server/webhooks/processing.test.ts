import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProviderName } from '#server/rooms/connections/schema.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import {
  connect,
  endOf,
  eventOf,
  installationEvent,
  readConnection,
  readDeliveries,
  readEvents,
  type Sent,
  sign,
  slackEvent,
} from '#server/testing/webhooks.ts'
import { processingOf } from './processing-fixture.ts'
import { processDueEvents } from './processor.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

const { receive, processor, processAll, passTime, eventFor } = processingOf(() => house)

describe('a provider’s event about a connection', () => {
  const ends: [name: string, provider: ProviderName, make: (externalId: string) => Sent | null][] = [
    ['GitHub’s deletion of an installation', 'github', id => endOf('github', id)],
    ['Slack’s uninstallation', 'slack', id => endOf('slack', id)],
    ['Linear’s revocation', 'linear', id => endOf('linear', id)],
    [
      'Slack’s revocation of the bot’s token',
      'slack',
      id =>
        sign('slack', JSON.stringify(slackEvent(id, { type: 'tokens_revoked', tokens: { bot: ['U1'] } }))),
    ],
  ]

  it.each(ends)('%s revokes it, with its tokens, for everyone connected there', async (_, provider, make) => {
    const bob = await createActor(house, { name: 'Bob' })
    const first = await connect(ada, provider)
    const { externalId } = first
    const second = await connect(bob, provider, { externalId })
    const other = await connect(ada, provider)
    await receive(provider, make(externalId))
    expect((await readConnection(house, first.id)).status).toBe('active')
    await processAll()
    for (const { id } of [first, second]) {
      expect(await readConnection(house, id)).toMatchObject({
        status: 'revoked',
        access_token: null,
        token_version: 1,
      })
      expect(await eventFor(id)).toMatchObject({ status: 'processed', attempts: 1, next_attempt_at: null })
    }
    expect((await readConnection(house, other.id)).status).toBe('active')
    // A revoked connection receives no more events.
    await receive(provider, eventOf(provider, externalId))
    expect(await readEvents(house, first.id)).toHaveLength(1)
  })

  it('GitHub suspends an installation and unsuspends it', async () => {
    const { id, externalId } = await connect(ada, 'github')
    const suspended = async () => {
      await processAll()
      const { status, settings } = await readConnection(house, id)
      return { status, settings }
    }
    await receive('github', installationEvent(externalId, 'suspend'))
    expect(await suspended()).toEqual({ status: 'active', settings: { isSuspended: true } })
    await receive('github', installationEvent(externalId, 'unsuspend'))
    expect(await suspended()).toEqual({ status: 'active', settings: { isSuspended: false } })
  })

  it('a late suspension does not undo a newer event', async () => {
    const { id, externalId } = await connect(ada, 'github')
    await receive('github', installationEvent(externalId, 'suspend'))
    await house.owner.query(
      `update app.webhook_events set next_attempt_at = now() + interval '1 hour' where connection_id = $1`,
      [id],
    )
    await receive('github', installationEvent(externalId, 'unsuspend'))
    await processAll()
    await passTime()
    await processAll()
    expect((await readEvents(house, id)).map(({ status }) => status)).toEqual(['processed', 'processed'])
    expect((await readConnection(house, id)).settings).toEqual({ isSuspended: false })
  })

  it('a revocation does not end a newer consent', async () => {
    const { id, externalId } = await connect(ada, 'slack')
    await receive('slack', sign('slack', JSON.stringify(slackEvent(externalId, { type: 'app_uninstalled' }))))
    await house.owner.query('update app.connections set connected_at = clock_timestamp() where id = $1', [id])
    await processAll()
    expect((await eventFor(id)).status).toBe('processed')
    expect((await readConnection(house, id)).status).toBe('active')
  })

  const notes: [name: string, provider: ProviderName, make: (externalId: string) => Sent][] = [
    [
      'a user’s token that Slack revoked',
      'slack',
      id =>
        sign('slack', JSON.stringify(slackEvent(id, { type: 'tokens_revoked', tokens: { oauth: ['U1'] } }))),
    ],
    ['a new installation', 'github', id => installationEvent(id, 'created')],
    [
      'an issue’s deletion that an unsigned header calls an installation’s',
      'github',
      id =>
        sign('github', JSON.stringify({ action: 'deleted', issue: {}, installation: { id: Number(id) } }), {
          headers: { 'x-github-event': 'installation' },
        }),
    ],
    ['anything of Notion’s', 'notion', id => eventOf('notion', id, { type: 'OAuthApp.revoked' })],
  ]

  it.each(notes)('%s is only recorded', async (_, provider, make) => {
    const { id, externalId } = await connect(ada, provider)
    const before = await readConnection(house, id)
    await receive(provider, make(externalId))
    await processAll()
    expect((await eventFor(id)).status).toBe('processed')
    expect(await readConnection(house, id)).toEqual(before)
  })

  it('has its effect once, however many copies arrive and processes work', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    const sent = endOf('linear', externalId)
    await Promise.all(
      Array.from({ length: 200 }, async () => {
        await receive('linear', sent)
        await processDueEvents(processor())
      }),
    )
    await processAll()
    expect(await readConnection(house, id)).toMatchObject({ status: 'revoked', token_version: 1 })
    expect(await readEvents(house, id)).toMatchObject([{ status: 'processed', attempts: 1 }])
  })

  it('is deleted with the connection', async () => {
    const { id, externalId } = await connect(ada, 'linear')
    await receive('linear', eventOf('linear', externalId))
    await house.owner.query('delete from app.connections where id = $1', [id])
    expect(await readEvents(house, id)).toEqual([])
    expect(await readDeliveries(house, externalId)).toHaveLength(1)
    await processAll()
  })
})
