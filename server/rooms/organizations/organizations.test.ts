import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createApiToken,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
  startSession,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { rolesIn } from './fixture.ts'

let house: House
let ada: Actor
let bob: Actor
let eve: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  eve = await createActor(house, { name: 'Eve' })
})

afterAll(() => house.close())

const NOT_FOUND = { code: 'NOT_FOUND', reason: 'not_found' }
const newSlug = () => `team-${randomUUID()}`

describe('organizations.create', () => {
  it('makes its creator the owner, and the organization active in their session', async () => {
    const slug = newSlug()
    const created = await ada.caller().organizations.create({ name: 'A team', slug })
    expect(created).toEqual({
      id: expect.any(String),
      name: 'A team',
      slug,
      logo: null,
      role: 'owner',
      requireTwoFactor: false,
      allowSelfApproval: false,
      createdAt: expect.any(Date),
    })
    expect(await rolesIn(house, created.id)).toEqual({ [ada.userId]: 'owner' })
    const { organization } = await ada.caller().account.me()
    expect(organization).toEqual({ id: created.id, role: 'owner' })
    expect(await ada.caller().organizations.get({ organizationId: created.id })).toEqual(created)
    expect(await ada.caller().organizations.list()).toContainEqual(created)
  })

  it('uses a slug once, even for many concurrent calls', async () => {
    const slug = newSlug()
    const attempts = await Promise.allSettled(
      Array.from({ length: 10 }, () => eve.caller().organizations.create({ name: 'x', slug })),
    )
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await refusalOf(bob.caller().organizations.create({ name: 'x', slug }))).toEqual({
      code: 'CONFLICT',
      reason: 'unique_violation',
      message: 'another organization has this slug',
    })
  })

  it.for(['', 'Upper', 'two words', '-a', 'a-', 'a--b', 'ä', 'x'.repeat(64)])(
    'rejects the slug "%s"',
    async slug => {
      const call = ada.caller().organizations.create({ name: 'x', slug })
      await expect(call).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    },
  )

  it('rejects an API token', async () => {
    const { caller } = await createApiToken(ada, { scopes: ['tasks:write'] })
    expect(await refusalOf(caller().organizations.create({ name: 'x', slug: newSlug() }))).toMatchObject({
      reason: 'missing_scope',
    })
  })
})

describe('organizations.update', () => {
  it('changes the given fields only', async () => {
    const owner = await createActor(house)
    await house.owner.query('update auth.users set two_factor_enabled = true where id = $1', [owner.userId])
    const { caller } = await startSession(owner)
    const { id: organizationId } = await createOrganization(owner)
    const { organizations } = caller()
    const logo = 'https://example.com/logo.png'
    await organizations.update({ organizationId, logo, requireTwoFactor: true })
    const renamed = await organizations.update({ organizationId, name: 'Renamed' })
    expect(renamed).toMatchObject({ name: 'Renamed', logo, requireTwoFactor: true, allowSelfApproval: false })
    const plain = await organizations.update({ organizationId, logo: null, requireTwoFactor: false })
    expect(plain).toMatchObject({ name: 'Renamed', logo: null, requireTwoFactor: false })
  })

  it('rejects a slug of another organization', async () => {
    const [first, second] = [await createOrganization(ada), await createOrganization(bob)]
    const call = ada.caller().organizations.update({ organizationId: first.id, slug: second.slug })
    expect(await refusalOf(call)).toMatchObject({ code: 'CONFLICT', reason: 'unique_violation' })
  })
})

describe('organizations.setActive', () => {
  it('sets the session’s active organization, and clears it', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { organizations, account } = bob.caller()
    expect(await organizations.setActive({ organizationId })).toMatchObject({ id: organizationId })
    expect((await account.me()).organization).toEqual({ id: organizationId, role: 'member' })
    expect(await organizations.setActive({ organizationId: null })).toBeNull()
    expect((await account.me()).organization).toBeNull()
    expect(await refusalOf(eve.caller().organizations.setActive({ organizationId }))).toMatchObject(NOT_FOUND)
  })
})

describe('organizations.remove', () => {
  it('hides the organization from everyone at once, and restoring restores everything', async () => {
    const { id: organizationId } = await createOrganization(ada, [{ actor: bob, role: 'admin' }])
    const email = eve.email
    const invitationId = await createInvitation(ada, { organizationId, email })
    const headers = { 'x-organization-id': organizationId }
    const removed = await ada.caller().organizations.remove({ organizationId })
    expect(removed).toEqual({ id: organizationId, deletedAt: expect.any(Date) })

    for (const actor of [ada, bob]) {
      const { organizations, account } = actor.caller()
      expect((await organizations.list()).map(({ id }) => id)).not.toContain(organizationId)
      expect(await refusalOf(actor.caller(headers).account.me())).toMatchObject({ reason: 'not_a_member' })
      expect((await account.me()).organization?.id).not.toBe(organizationId)
      const calls = [
        organizations.get({ organizationId }),
        organizations.update({ organizationId, name: 'x' }),
        organizations.remove({ organizationId }),
        organizations.leave({ organizationId }),
        organizations.setActive({ organizationId }),
        organizations.members.list({ organizationId }),
        organizations.invitations.list({ organizationId }),
        organizations.invitations.cancel({ id: invitationId }),
      ]
      for (const refusal of await Promise.all(calls.map(refusalOf))) expect(refusal).toMatchObject(NOT_FOUND)
    }
    expect(
      await refusalOf(eve.caller().organizations.invitations.accept({ id: invitationId })),
    ).toMatchObject(NOT_FOUND)
    expect(await eve.caller().organizations.invitations.list()).toEqual([])
    expect(await refusalOf(bob.caller().organizations.restore({ organizationId }))).toMatchObject(NOT_FOUND)

    expect(await ada.caller().organizations.restore({ organizationId })).toMatchObject({ role: 'owner' })
    expect(await rolesIn(house, organizationId)).toEqual({ [ada.userId]: 'owner', [bob.userId]: 'admin' })
    expect((await bob.caller(headers).account.me()).organization).toEqual({
      id: organizationId,
      role: 'admin',
    })
    expect(await eve.caller().organizations.invitations.list()).toMatchObject([{ id: invitationId }])
    expect(await refusalOf(ada.caller().organizations.restore({ organizationId }))).toMatchObject({
      reason: 'illegal_transition',
    })
  })

  it('disables the tokens bound to it, and restoring enables exactly those', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const scopes = ['tasks:read'] as const
    const bound = await createApiToken(bob, { scopes, organizationId })
    const revoked = await createApiToken(bob, { scopes, organizationId })
    await bob.caller().apiTokens.revoke({ id: revoked.id })
    const given = await createApiToken(bob, { scopes, organizationId })
    const free = await createApiToken(bob, { scopes })
    await ada.caller().organizations.remove({ organizationId })

    expect(await refusalOf(bound.caller().account.me())).toMatchObject({ reason: 'unauthenticated' })
    expect((await bob.caller().apiTokens.list()).map(({ id }) => id)).toEqual([free.id])
    await bob.caller().apiTokens.revoke({ id: given.id })
    expect(await refusalOf(bob.caller().apiTokens.rotate({ id: bound.id }))).toMatchObject(NOT_FOUND)
    const { rows } = await house.owner.query<{ marked: boolean }>(
      `select t.deletion_id = o.deletion_id as marked from app.api_tokens t
       join auth.organizations o on o.id = t.organization_id where o.id = $1`,
      [organizationId],
    )
    expect(rows.map(({ marked }) => marked)).toEqual([true, true, true])

    await ada.caller().organizations.restore({ organizationId })
    expect((await bound.caller().account.me()).organization).toEqual({ id: organizationId, role: 'member' })
    for (const { caller } of [revoked, given]) {
      expect(await refusalOf(caller().account.me())).toMatchObject({ reason: 'unauthenticated' })
    }
    expect((await bob.caller().apiTokens.list()).map(({ id }) => id)).toEqual([
      free.id,
      given.id,
      revoked.id,
      bound.id,
    ])
  })

  it('frees its slug; if that is taken, restoring fails and accepts another one', async () => {
    const { id: organizationId, slug } = await createOrganization(ada)
    await ada.caller().organizations.remove({ organizationId })
    const taken = await eve.caller().organizations.create({ name: 'x', slug })
    expect(await refusalOf(ada.caller().organizations.restore({ organizationId }))).toMatchObject({
      code: 'CONFLICT',
      reason: 'unique_violation',
      message: 'another organization has this slug',
    })
    expect(await refusalOf(ada.caller().organizations.get({ organizationId }))).toMatchObject(NOT_FOUND)
    const other = newSlug()
    expect(await ada.caller().organizations.restore({ organizationId, slug: other })).toMatchObject({
      slug: other,
    })
    expect(await eve.caller().organizations.get({ organizationId: taken.id })).toMatchObject({ slug })
  })

  it('is final after 30 days', async () => {
    const { id: organizationId } = await createOrganization(ada)
    await ada.caller().organizations.remove({ organizationId })
    const age = (interval: string) =>
      house.owner.query('update auth.organizations set deleted_at = now() - $2::interval where id = $1', [
        organizationId,
        interval,
      ])
    await age('30 days 1 second')
    expect(await refusalOf(ada.caller().organizations.restore({ organizationId }))).toMatchObject(NOT_FOUND)
    await age('29 days 23 hours')
    expect(await ada.caller().organizations.restore({ organizationId })).toMatchObject({ id: organizationId })
  })

  it('restores once, even for many concurrent calls', async () => {
    const { id: organizationId } = await createOrganization(ada)
    await ada.caller().organizations.remove({ organizationId })
    const attempts = await Promise.allSettled(
      Array.from({ length: 5 }, () => ada.caller().organizations.restore({ organizationId })),
    )
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })
})
