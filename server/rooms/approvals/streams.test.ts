import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLive } from '#server/live/live.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { type EventReader, readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { createTeam, createWaitingCall, lapse } from './fixture.ts'
import { expireApprovals } from './streams.ts'

let house: House
let port: number
let close: () => Promise<void>

beforeAll(async () => {
  house = await openHouse()
  ;({ port, close } = await serveHouse(house.services))
})
afterAll(async () => {
  await close()
  await house.close()
})

const asked = { kind: 'deploy', title: 'Deploy?', payload: {} }

interface Open {
  authorization: string
  organizationId?: string
  lastEventId?: string
  of?: 'organization' | 'self'
  at?: number
}

function open({ of, at = port, ...rest }: Open): EventReader {
  return readEvents({ ...rest, port: at, path: streamPath('approvals.stream', of ? { of } : {}) })
}

/** The events that a reader received: number, title and status. */
function received({ events }: EventReader): string[] {
  return events
    .filter(({ event }) => event === 'message')
    .map(({ id, data }) => {
      const { title, status } = JSON.parse(data).json
      return `${id} ${title} ${status}`
    })
}

async function until(isTrue: () => boolean, what: string, deadlineMs = 15_000): Promise<void> {
  for (const end = Date.now() + deadlineMs; !isTrue(); await sleep(5)) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`)
  }
}

/** The error that ended a stream. */
async function endOf(reader: EventReader): Promise<Record<string, unknown>> {
  expect(await reader.ended).toEqual({ isWhole: true })
  const last = reader.events.at(-1)
  expect(last?.event).toBe('serialized-error')
  return JSON.parse(last?.data ?? '{}').json.data
}

describe('a stream of approvals', () => {
  it('of the caller’s own has existing approvals and changes: requests, decisions, expiries', async () => {
    const ada = await createActor(house)
    const { approvals } = ada.caller()
    const { id: first } = await approvals.request({ ...asked, title: 'a' })
    const reader = open(ada)
    await until(() => received(reader).length === 1, 'what was there')
    const { id: second } = await approvals.request({
      ...asked,
      title: 'b',
      expiresAt: new Date(Date.now() + 60_000),
    })
    await until(() => received(reader).length === 2, 'a request')
    await approvals.decide({ id: first, decision: 'approve' })
    await until(() => received(reader).length === 3, 'a decision')
    await lapse(house, second)
    await expireApprovals(house.services)
    await until(() => received(reader).length === 4, 'an end')
    expect(received(reader)).toEqual(['1 a pending', '2 b pending', '3 a approved', '4 b expired'])
    reader.kill()
  })

  it('of an organization is open to its members, without their other approvals', async () => {
    const { organizationId, owner, admin, member } = await createTeam(house)
    const readers = [owner, admin, member].map(actor => open({ ...actor, organizationId }))
    const own = open(member)
    await Promise.all([...readers, own].map(({ opened }) => opened))
    await member.caller().approvals.request({ ...asked, title: 'mine' })
    const call = await createWaitingCall(member)
    const { id } = await member.caller().approvals.request({
      ...asked,
      title: 'ours',
      toolCallId: call.id,
      organizationId,
    })
    await admin.caller().approvals.decide({ id, decision: 'reject' })
    for (const reader of readers) {
      await until(() => received(reader).at(-1) === '2 ours rejected', 'the decision')
      expect(received(reader).filter(line => !line.includes('ours'))).toEqual([])
    }
    await until(() => received(own).at(-1) === '3 ours rejected', 'the decision')
    expect(received(own)[0]).toBe('1 mine pending')
    for (const reader of [...readers, own]) reader.kill()
  })

  it('can resume on another process without missing changes', async () => {
    const ada = await createActor(house)
    const { approvals } = ada.caller()
    const { pools, log } = house.services
    const { authSecret } = house.services
    const live = createLive({ pools, listenUrl: house.database.urls.listen, authSecret, log })
    const other = await serveHouse({ ...house.services, live })
    const { id } = await approvals.request({ ...asked, title: 'a' })
    await approvals.request({ ...asked, title: 'b' })
    const reader = open(ada)
    await until(() => received(reader).length === 2, 'what was there')
    reader.kill()
    await approvals.request({ ...asked, title: 'c' })
    await approvals.cancel({ id })
    const resumed = open({ ...ada, lastEventId: '2', at: other.port })
    await until(() => received(resumed).length === 2, 'what changed meanwhile')
    await approvals.request({ ...asked, title: 'd' })
    await until(() => received(resumed).length === 3, 'what comes')
    expect(received(resumed)).toEqual(['3 c pending', '4 a cancelled', '5 d pending'])
    resumed.kill()
    await other.close()
    await live.close()
  })

  it('numbers concurrent requests without gaps, in commit order', async () => {
    const { organizationId, owner, member } = await createTeam(house)
    const reader = open({ ...owner, organizationId })
    await reader.opened
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        (n % 2 ? owner : member).caller().approvals.request({ ...asked, organizationId }),
      ),
    )
    await until(() => received(reader).length === 40, 'all of them')
    expect(received(reader).map(line => Number.parseInt(line, 10))).toEqual(
      Array.from({ length: 40 }, (_, n) => n + 1),
    )
    reader.kill()
  })
})

describe('losing access closes a stream within a second:', () => {
  async function expectEnd(reader: EventReader, end: () => Promise<unknown>): Promise<unknown> {
    await reader.opened
    await end()
    const endedAt = performance.now()
    const { reason } = await endOf(reader)
    expect(performance.now() - endedAt).toBeLessThan(2_000)
    return reason
  }

  it('of a removed member, while the others’ streams continue', async () => {
    const { organizationId, owner, admin, member } = await createTeam(house)
    const [removed, staying] = [member, admin].map(actor => open({ ...actor, organizationId })) as [
      EventReader,
      EventReader,
    ]
    const reason = await expectEnd(removed, () =>
      owner.caller().organizations.members.remove({ organizationId, userId: member.userId }),
    )
    expect(reason).toBe('not_a_member')
    await owner.caller().approvals.request({ ...asked, organizationId, title: 'after' })
    await until(() => received(staying).length === 1, 'what came after')
    expect(received(removed)).toEqual([])
    staying.kill()
  })

  it('of a removed organization', async () => {
    const { organizationId, owner, member } = await createTeam(house)
    const reader = open({ ...member, organizationId })
    expect(await expectEnd(reader, () => owner.caller().organizations.remove({ organizationId }))).toBe(
      'not_a_member',
    )
  })

  it('of a revoked token; none opens without the scope', async () => {
    const ada = await createActor(house)
    const token = await createApiToken(ada, { scopes: ['approvals:read'] })
    const reader = open(token)
    expect(await expectEnd(reader, () => ada.caller().apiTokens.revoke({ id: token.id }))).toBe(
      'unauthenticated',
    )
    const blind = open(await createApiToken(ada, { scopes: ['tasks:read'] }))
    expect(await endOf(blind)).toMatchObject({ reason: 'missing_scope' })
  })
})

it('a stranger cannot open an organization’s stream, and has an empty stream of their own', async () => {
  const { organizationId, member } = await createTeam(house)
  await member.caller().approvals.request({ ...asked, organizationId })
  const stranger: Actor = await createActor(house)
  for (const refused of [open({ ...stranger, organizationId }), open({ ...stranger, of: 'organization' })]) {
    expect(await endOf(refused)).toMatchObject({ reason: 'not_a_member' })
    expect(received(refused)).toEqual([])
  }
  const { id: own } = await createOrganization(stranger)
  const readers = [open(stranger), open({ ...stranger, organizationId: own })]
  for (const reader of readers) expect(await reader.opened).toBe(200)
  await member.caller().approvals.request({ ...asked, organizationId })
  await stranger.caller().approvals.request({ ...asked, title: 'own', organizationId: own })
  for (const reader of readers) {
    await until(() => received(reader).length === 1, 'their own')
    expect(received(reader)).toEqual(['1 own pending'])
    reader.kill()
  }
})
