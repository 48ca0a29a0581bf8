import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { open } from '#server/crypto/envelope.ts'
import type { Caller } from '#server/rpc/caller.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { reasonOf, refusalOf } from '#server/testing/refusal.ts'
import { placeOf } from './queries.ts'
import type { CreateAiProvider } from './schema.ts'

let house: House
let owner: Actor
let admin: Actor
let member: Actor
let stranger: Actor
let organizationId: string

beforeAll(async () => {
  house = await openHouse()
  owner = await createActor(house, { name: 'Owner' })
  admin = await createActor(house, { name: 'Admin' })
  member = await createActor(house, { name: 'Member' })
  stranger = await createActor(house, { name: 'Stranger' })
  ;({ id: organizationId } = await createOrganization(owner, [{ actor: admin, role: 'admin' }, member]))
})
afterAll(() => house.close())

function as(actor: Pick<Actor, 'caller'>, organization = organizationId): Caller['aiProviders'] {
  return actor.caller({ 'x-organization-id': organization }).aiProviders
}

const secret = 'sk-ant-a-secret-of-some-length-wxyz'

function config(): { name: string; provider: string; model: string } {
  return { name: `provider ${randomUUID()}`, provider: 'anthropic', model: 'opus' }
}

describe('an AI provider', () => {
  it('is shown to members without its credentials, which decrypt only in their own row', async () => {
    const limits = { requestsPerMinute: 10, costUsdPerMonth: 99.5 }
    const input = {
      ...config(),
      baseUrl: 'https://ai.example.com/v1',
      credentials: ` ${secret}\n`,
      limits,
    }
    const created = await as(owner).create(input)
    const shown = {
      ...input,
      credentials: undefined,
      hasCredentials: true,
      unreadable: false,
      isDefault: false,
    }
    expect({ credentials: undefined, ...created }).toMatchObject({ ...shown, hint: 'wxyz' })
    const listed = await as(member).list()
    expect(listed.find(({ id }) => id === created.id)).toEqual(created)
    expect(JSON.stringify([created, listed])).not.toContain('a-secret')
    const { rows } = await house.owner.query(
      'select credentials from app.ai_provider_configs where organization_id = $1 and id = $2',
      [organizationId, created.id],
    )
    expect(rows[0].credentials).not.toContain('secret')
    const place = placeOf(organizationId, created.id)
    expect(open(house.services.keyring, rows[0].credentials, place)).toBe(secret)
  })

  it('is marked unreadable if its credentials cannot be decrypted, which can be set again', async () => {
    const { id } = await as(admin).create({ ...config(), credentials: secret })
    const bare = await as(admin).create(config())
    expect(bare).toMatchObject({ hasCredentials: false, unreadable: false, hint: '' })
    await house.owner.query(
      `update app.ai_provider_configs set credentials = other.credentials
       from (select credentials from app.ai_provider_configs where id <> $1 and credentials is not null limit 1) other
       where id = $1`,
      [id],
    )
    const listed = await as(member).list()
    expect(listed.find(provider => provider.id === id)).toMatchObject({
      hasCredentials: true,
      unreadable: true,
    })
    expect(await as(admin).update({ id, credentials: secret })).toMatchObject({ unreadable: false })
  })

  it('is updated in the given fields only, and null clears a field', async () => {
    const created = await as(owner).create({
      ...config(),
      baseUrl: 'https://a.example.com',
      credentials: secret,
    })
    const changed = await as(admin).update({ id: created.id, model: 'sonnet', limits: { tokensPerDay: 5 } })
    expect(changed).toEqual({
      ...created,
      model: 'sonnet',
      limits: { tokensPerDay: 5 },
      updatedAt: expect.any(Date),
    })
    expect(await as(admin).update({ id: created.id, baseUrl: null, credentials: null })).toMatchObject({
      baseUrl: null,
      hasCredentials: false,
      hint: '',
      model: 'sonnet',
    })
  })

  it('is removed', async () => {
    const { id } = await as(owner).create(config())
    expect(await as(admin).remove({ id })).toEqual({ id })
    expect((await as(owner).list()).map(provider => provider.id)).not.toContain(id)
    expect(await reasonOf(as(owner).remove({ id }))).toBe('not_found')
  })

  it('has a unique name in its organization', async () => {
    const input = config()
    await as(owner).create(input)
    expect(await reasonOf(as(owner).create(input))).toBe('unique_violation')
    const { id: other } = await createOrganization(owner)
    expect(await as(owner, other).create(input)).toMatchObject({ name: input.name })
  })

  it.each([
    ['no name', { name: ' ' }],
    ['a provider that is not a slug', { provider: 'Open AI' }],
    ['an invalid URL', { baseUrl: 'ftp://example.com' }],
    ['empty credentials', { credentials: ' ' }],
    ['an unknown limit', { limits: { wishes: 3 } }],
    ['an owner', { organizationId: randomUUID() }],
    ['a default', { isDefault: true }],
  ])('cannot be created with %s', async (_, input) => {
    expect(await reasonOf(as(owner).create({ ...config(), ...input } as CreateAiProvider))).toBe(
      'BAD_REQUEST',
    )
  })
})

describe('access:', () => {
  it('owners and admins write, with a session or a token; members get role_too_low', async () => {
    const { id } = await as(admin).create(config())
    const refused = [
      as(member).create(config()),
      as(member).update({ id, name: 'mine' }),
      as(member).setDefault({ id }),
      as(member).remove({ id }),
    ]
    expect(new Set(await Promise.all(refused.map(reasonOf)))).toEqual(new Set(['role_too_low']))
    const writer = await createApiToken(admin, { scopes: ['ai-providers:write'], organizationId })
    expect(await writer.caller().aiProviders.update({ id, model: 'haiku' })).toMatchObject({ model: 'haiku' })
    const reader = await createApiToken(admin, { scopes: ['ai-providers:read'], organizationId })
    expect((await reader.caller().aiProviders.list()).map(provider => provider.id)).toContain(id)
    expect(await reasonOf(reader.caller().aiProviders.remove({ id }))).toBe('missing_scope')
  })

  it('members see providers while they act in the organization', async () => {
    const { id } = await as(admin).create(config())
    expect(await member.caller().aiProviders.list()).toEqual([])
    expect(await reasonOf(as(stranger).list())).toBe('not_a_member')
    expect(await stranger.caller().aiProviders.list()).toEqual([])
    const { id: other } = await createOrganization(stranger)
    for (const aiProviders of [stranger.caller().aiProviders, as(stranger, other)]) {
      const missing = await refusalOf(aiProviders.update({ id: randomUUID(), name: 'mine' }))
      expect(missing.reason).toBe('not_found')
      expect(await refusalOf(aiProviders.update({ id, name: 'mine' }))).toEqual(missing)
      expect(await refusalOf(aiProviders.remove({ id }))).toEqual(missing)
      expect(await refusalOf(aiProviders.setDefault({ id }))).toEqual(missing)
    }
    expect(await reasonOf(stranger.caller().aiProviders.create(config()))).toBe('not_a_member')
  })

  it('losing the role ends write access', async () => {
    const fleeting = await createActor(house)
    const { id } = await createOrganization(owner, [{ actor: fleeting, role: 'admin' }])
    const { id: providerId } = await as(fleeting, id).create(config())
    await owner.caller().organizations.members.updateRole({
      organizationId: id,
      userId: fleeting.userId,
      role: 'member',
    })
    expect(await reasonOf(as(fleeting, id).remove({ id: providerId }))).toBe('role_too_low')
    await owner.caller().organizations.members.remove({ organizationId: id, userId: fleeting.userId })
    expect(await reasonOf(as(fleeting, id).list())).toBe('not_a_member')
  })
})

describe('the default', () => {
  it('is one provider, even after concurrent choices, and first in the list', async () => {
    const { id } = await createOrganization(owner, [{ actor: admin, role: 'admin' }])
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await as(owner, id).create(config())).id)
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        as(n % 2 ? owner : admin, id).setDefault({ id: ids[n % 5] ?? '' }),
      ),
    )
    const listed = await as(owner, id).list()
    expect(listed.map(({ isDefault }) => isDefault)).toEqual([true, false, false, false, false])
    await as(owner, id).setDefault({ id: ids[3] ?? '' })
    expect((await as(owner, id).list())[0]).toMatchObject({ id: ids[3], isDefault: true })
    expect(await reasonOf(as(owner, id).setDefault({ id: randomUUID() }))).toBe('not_found')
    expect((await as(owner, id).list())[0]).toMatchObject({ id: ids[3], isDefault: true })
  })
})

it('is removed and restored with its organization', async () => {
  const { id } = await createOrganization(owner, [member])
  await as(owner, id).create({ ...config(), credentials: secret })
  const marks = async () => {
    const { rows } = await house.owner.query(
      `select c.deletion_id is not distinct from o.deletion_id as "isSame", c.deletion_id is null as "isFree"
       from app.ai_provider_configs c join auth.organizations o on o.id = c.organization_id where o.id = $1`,
      [id],
    )
    return rows
  }
  await owner.caller().organizations.remove({ organizationId: id })
  expect(await marks()).toEqual([{ isSame: true, isFree: false }])
  expect(await reasonOf(as(member, id).list())).toBe('not_a_member')
  await owner.caller().organizations.restore({ organizationId: id })
  expect(await marks()).toEqual([{ isSame: true, isFree: true }])
  expect(await as(member, id).list()).toHaveLength(1)
})
