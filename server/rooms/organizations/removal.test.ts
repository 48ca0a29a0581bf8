import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTeam, type Team } from '#server/rooms/approvals/fixture.ts'
import { anonymous, createApiToken, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'

// An organization's rows when it is removed and restored.

let house: House
let team: Team

beforeAll(async () => {
  house = await openHouse()
  team = await createTeam(house)
})
afterAll(() => house.close())

it('an organization’s rows are removed and restored with it, except its content', async () => {
  const { organizationId, owner, member } = team
  const acting = { 'x-organization-id': organizationId }
  const provider = await owner.caller(acting).aiProviders.create({
    name: 'ours',
    provider: 'anthropic',
    model: 'a-model',
    credentials: `sk-${randomUUID()}`,
  })
  const ask = { kind: 'deploy', title: 'may I?', payload: { to: 'production' } }
  const approval = await member.caller(acting).approvals.request({ ...ask, organizationId })
  const removedEarlier = await owner.caller(acting).aiProviders.create({
    name: 'an older one',
    provider: 'openai',
    model: 'a-model',
  })
  await owner.caller(acting).aiProviders.remove({ id: removedEarlier.id })
  const token = await createApiToken(member, { scopes: ['approvals:read', 'content:read'], organizationId })
  const content = await member
    .caller()
    .content.create({ title: 'News', contentType: 'written', organizationId })
  await member.caller().content.publish({ id: content.id })
  expect((await token.caller().approvals.list({})).items).toHaveLength(1)

  await owner.caller().organizations.remove({ organizationId })
  for (const actor of [owner, member]) {
    expect(await refusalOf(actor.caller(acting).aiProviders.list())).toMatchObject({ code: 'FORBIDDEN' })
    expect(await refusalOf(actor.caller().organizations.get({ organizationId }))).toMatchObject({
      reason: 'not_found',
    })
  }
  expect(await refusalOf(member.caller().approvals.get({ id: approval.id }))).toMatchObject({
    reason: 'not_found',
  })
  expect(await refusalOf(token.caller().account.me())).toMatchObject({ reason: 'unauthenticated' })
  // The content stays with its author, as a draft that nobody else reads.
  expect(await member.caller().content.get({ id: content.id })).toMatchObject({
    status: 'draft',
    organization: null,
    publishedAt: null,
  })
  expect((await anonymous(house).content.published({ creatorId: member.userId })).items).toEqual([])

  await owner.caller().organizations.restore({ organizationId })
  expect((await member.caller(acting).aiProviders.list()).map(({ id }) => id)).toEqual([provider.id])
  expect(await member.caller().approvals.get({ id: approval.id })).toMatchObject({ status: 'pending' })
  expect((await token.caller().approvals.list({})).items).toHaveLength(1)
  expect(await member.caller().content.get({ id: content.id })).toMatchObject({
    status: 'draft',
    organization: null,
  })
})
