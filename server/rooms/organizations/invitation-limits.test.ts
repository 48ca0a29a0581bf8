import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type Actor,
  createActor,
  createInvitation,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse({ maxMailsPerHour: 2 })
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

it('one user may send twenty times as many invitations an hour as one address may receive', async () => {
  const [one, two] = [await createOrganization(ada), await createOrganization(ada)]
  const invite = (by: Actor, organizationId: string) =>
    by.caller().organizations.invitations.create({
      organizationId,
      email: `${randomUUID()}@example.com`,
      role: 'member',
    })
  for (let n = 0; n < 40; n++) await invite(ada, n % 2 ? one.id : two.id)
  for (const { id } of [one, two]) {
    expect(await refusalOf(invite(ada, id))).toMatchObject({ reason: 'rate_limited' })
  }
  await invite(bob, (await createOrganization(bob)).id)
})

it('a received invitation is hidden after its expiry, and while its organization is removed', async () => {
  const { id: organizationId } = await createOrganization(ada)
  const id = await createInvitation(ada, { organizationId, email: bob.email })
  const received = async () => (await bob.caller().organizations.invitations.list()).map(one => one.id)
  expect(await received()).toEqual([id])
  await ada.caller().organizations.remove({ organizationId })
  expect(await received()).toEqual([])
  await ada.caller().organizations.restore({ organizationId })
  expect(await received()).toEqual([id])
  await house.owner.query('update auth.invitations set expires_at = now() where id = $1', [id])
  expect(await received()).toEqual([])
})
