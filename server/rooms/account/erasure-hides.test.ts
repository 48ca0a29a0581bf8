import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createMedia } from '#server/rooms/content/fixture.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { addTasks, countRows, eraseEverything, rowsOf } from './erasure-fixture.ts'

// Accounts with too many rows to delete before account.remove answers.

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(() => house.close())

const UNAUTHENTICATED = { reason: 'unauthenticated' }

describe('a removed account', { timeout: 180_000 }, () => {
  it('loses its sessions, tokens and leases at once, also in running calls', async () => {
    await addTasks(ada, { tasks: 2_000 })
    const another = await startSession(ada)
    const token = await createApiToken(ada, { scopes: ['tasks:read', 'tasks:work'] })
    const claimed = await token.caller().tasks.claim({ worker: 'hers' })
    const claimedBySession = await another.caller().tasks.claim({ worker: 'hers, too' })
    const { workerKey } = house.services
    // No task of another user may be left for the operator's workers.
    await house.owner.query(`update app.tasks set status = 'completed' where user_id <> $1`, [ada.userId])
    const operators = anonymous(house, { authorization: `Bearer ${workerKey}` })
    const claimedByOperator = await operators.tasks.claim({ worker: 'the operator’s' })
    const upload = await createMedia(ada, { status: 'uploading' })
    const isUploadOpen = () => house.services.pools.system.isUploadOpen(ada.userId, upload)
    expect(await isUploadOpen()).toBe(true)
    await ada.caller().account.remove()

    for (const caller of [ada.caller, another.caller, token.caller]) {
      expect(await refusalOf(caller().account.me())).toMatchObject(UNAUTHENTICATED)
    }
    for (const claim of [claimed, claimedBySession, claimedByOperator]) {
      const lease = anonymous(house, { authorization: `Bearer ${claim?.lease}` })
      expect(await refusalOf(lease.tasks.heartbeat())).toMatchObject({ reason: 'lease_lost' })
      expect(await refusalOf(lease.tasks.complete())).toMatchObject({ reason: 'lease_lost' })
    }
    expect(await isUploadOpen()).toBe(false)
    // Her tasks cannot be claimed, and do not block other users' tasks.
    const bob = await createActor(house, { name: 'Bob' })
    const { id } = await bob.caller().tasks.create({ prompt: 'after hers' })
    expect(await operators.tasks.claim({ worker: 'the operator’s' })).toMatchObject({ task: { id } })
    expect(await operators.tasks.claim({ worker: 'the operator’s' })).toBeNull()
    await eraseEverything(house)
  })

  it('is hidden from members, from readers of its content and from deciders of its approvals', async () => {
    const bob = await createActor(house, { name: 'Bob' })
    const { id: organizationId, slug: organizationSlug } = await createOrganization(bob, [
      { actor: ada, role: 'admin' },
    ])
    const inOrganization = bob.caller({ 'x-organization-id': organizationId })
    const publish = async (title: string, mediaItemId: string) => {
      const { content } = ada.caller()
      const made = await content.create({
        title,
        contentType: 'video',
        mediaItemId,
        organizationId,
        tags: ['t'],
      })
      await content.publish({ id: made.id })
      return made
    }
    const shared = await publish('Shared', await createMedia(ada))
    const own = await ada
      .caller()
      .content.create({ title: 'Her own page', contentType: 'written', tags: ['t'] })
    await ada.caller().content.publish({ id: own.id })
    const approval = await ada.caller().approvals.request({
      kind: 'deploy',
      title: 'May I?',
      payload: { a: 1 },
      organizationId,
    })
    const invitation = await createInvitation(ada, { organizationId, email: 'eve@example.com' })
    await addTasks(ada, { tasks: 300, logs: 10, organizationId })
    const everyone = anonymous(house)
    const reads: Record<string, () => Promise<{ items: unknown[] } | unknown[]>> = {
      'content of the organization': () => inOrganization.content.list({ organizationId }),
      'approvals of the organization': () => inOrganization.approvals.list({}),
      'published content': () => everyone.content.published({}),
      'published content by creator': () => everyone.content.published({ creatorId: ada.userId }),
      'published content by organization': () => everyone.content.published({ organizationSlug }),
      'published content in a search': () => everyone.content.published({ search: 'shared or page' }),
      'published content by tag': () => everyone.content.published({ tags: ['t'] }),
      invitations: () => bob.caller().organizations.invitations.list({ organizationId }),
      members: async () =>
        (await bob.caller().organizations.members.list({ organizationId })).filter(
          ({ userId }) => userId !== bob.userId,
        ),
    }
    const seen = async () => {
      const found: string[] = []
      for (const [name, read] of Object.entries(reads)) {
        const answer = await read()
        if (JSON.stringify('items' in answer ? answer.items : answer) !== '[]') found.push(name)
      }
      return found
    }
    expect(await seen()).toContain('published content')
    expect(await seen()).toContain('approvals of the organization')

    await ada.caller().account.remove()
    expect(await countRows(house, 'app.content', ada.userId)).toBe(2)
    expect(await seen()).toEqual([])
    expect(await refusalOf(inOrganization.content.get({ id: shared.id }))).toMatchObject({
      reason: 'not_found',
    })
    expect(
      await refusalOf(everyone.content.bySlug({ slug: 'her-own-page', creatorId: ada.userId })),
    ).toMatchObject({
      reason: 'not_found',
    })
    const { approvals } = inOrganization
    for (const call of [
      () => approvals.get({ id: approval.id }),
      () => approvals.decide({ id: approval.id, decision: 'approve' }),
      () => approvals.cancel({ id: approval.id }),
    ]) {
      expect(await refusalOf(call())).toMatchObject({ reason: 'not_found' })
    }
    expect(await refusalOf(bob.caller().organizations.invitations.cancel({ id: invitation }))).toMatchObject({
      reason: 'illegal_transition',
    })
    await eraseEverything(house)
    expect(await rowsOf(house, ada.userId)).toEqual([])
    expect(await seen()).toEqual([])
  })
})
