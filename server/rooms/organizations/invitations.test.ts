import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Actor, createActor, createOrganization, openHouse } from '#server/testing/actors.ts'
import { type FrontDoor, ORIGIN, openFrontDoor, type Person } from '#server/testing/front-door.ts'
import { refusalOf } from '#server/testing/refusal.ts'

// Over HTTP, with the mails that a server sends.

let door: FrontDoor
let ada: Person
let bob: Person
let organizationId: string

beforeAll(async () => {
  door = await openFrontDoor()
  ada = await door.signUpVerified('Ada')
})

afterAll(() => door.close())

beforeEach(async () => {
  bob = await door.signUpVerified('Bob')
  const { json } = await ada.mutate('organizations.create', {
    name: 'A team',
    slug: `team-${randomUUID()}`,
  })
  organizationId = json.id
})

const ROLE_TOO_LOW = { status: 403, reason: 'role_too_low' }
const NOT_FOUND = { status: 404, reason: 'not_found' }
const ILLEGAL = { status: 409, reason: 'illegal_transition' }

async function invite(by: Person, email: string, role = 'member'): Promise<string> {
  const { status, json } = await by.mutate('organizations.invitations.create', {
    organizationId,
    email,
    role,
  })
  expect(status).toBe(200)
  return json.id
}

const accept = (by: Person, id: string) => by.mutate('organizations.invitations.accept', { id })

async function roleOf(person: Person): Promise<string | undefined> {
  const { rows } = await door.owner.query<{ role: string }>(
    'select role from auth.members where organization_id = $1 and user_id = $2',
    [organizationId, person.userId],
  )
  expect(rows.length).toBeLessThan(2)
  return rows[0]?.role
}

it('can sign up, verify, be invited by mail, join and then act in the organization', async () => {
  const eve = await door.signUp('Eve')
  const created = await ada.mutate('organizations.invitations.create', {
    organizationId,
    email: eve.email.toUpperCase(),
    role: 'admin',
  })
  expect(created.json).toEqual({
    id: expect.any(String),
    organizationId,
    organizationName: 'A team',
    email: eve.email,
    role: 'admin',
    status: 'pending',
    inviterName: 'Ada',
    expiresAt: expect.any(String),
    createdAt: expect.any(String),
  })
  const { id } = created.json
  // Before the address is verified, the response must not reveal its invitations.
  expect((await eve.query('organizations.invitations.list')).json).toEqual([])
  for (const unknown of [id, randomUUID()]) {
    for (const path of ['accept', 'decline']) {
      expect(await eve.mutate(`organizations.invitations.${path}`, { id: unknown })).toMatchObject({
        status: 403,
        reason: 'email_not_verified',
        message: 'confirm your mail address first',
      })
    }
  }

  await eve.verify()
  const mail = await door.mails.take(eve.email)
  expect(mail.link).toBe(`${ORIGIN}/accept-invitation/${id}`)
  expect(mail.source).toContain('Ada invites you to join A team')
  expect((await eve.query('organizations.invitations.list')).json).toEqual([created.json])
  expect((await ada.query('organizations.invitations.list', { organizationId })).json).toEqual([created.json])

  const accepted = await accept(eve, id)
  expect(accepted).toMatchObject({ status: 200, json: { id: organizationId, role: 'admin' } })
  expect((await eve.query('account.me')).json.organization).toEqual({ id: organizationId, role: 'admin' })
  expect((await eve.query('organizations.invitations.list')).json).toEqual([])
  expect((await ada.query('organizations.invitations.list', { organizationId })).json).toEqual([])
  expect(await accept(eve, id)).toMatchObject({ ...ILLEGAL, message: 'the invitation is already accepted' })
})

it('creates one member from fifty concurrent accepts', async () => {
  const id = await invite(ada, bob.email)
  const answers = await Promise.all(Array.from({ length: 50 }, () => accept(bob, id)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  for (const answer of answers.filter(({ status }) => status !== 200)) expect(answer).toMatchObject(ILLEGAL)
  expect(await roleOf(bob)).toBe('member')
})

it('can be used only by its recipient', async () => {
  const id = await invite(ada, bob.email)
  const eve = await door.signUpVerified('Eve')
  const missing = await accept(eve, randomUUID())
  expect(missing).toMatchObject(NOT_FOUND)
  expect(await accept(eve, id)).toEqual(missing)
  expect(await accept(ada, id)).toEqual(missing)
  expect(await eve.mutate('organizations.invitations.decline', { id })).toEqual(missing)
  expect(await eve.mutate('organizations.invitations.cancel', { id })).toMatchObject(NOT_FOUND)
  // An invitation alone grants no permission in the organization.
  expect(await bob.mutate('organizations.invitations.cancel', { id })).toMatchObject(NOT_FOUND)
  expect(await bob.query('organizations.members.list', { organizationId })).toMatchObject(NOT_FOUND)
  expect(await roleOf(eve)).toBeUndefined()
})

describe('an invitation becomes invalid', () => {
  it('when it is declined', async () => {
    const id = await invite(ada, bob.email)
    const declined = await bob.mutate('organizations.invitations.decline', { id })
    expect(declined).toMatchObject({ status: 200, json: { id, status: 'rejected' } })
    expect(await accept(bob, id)).toMatchObject({ ...ILLEGAL, message: 'the invitation is already declined' })
    expect(await ada.mutate('organizations.invitations.cancel', { id })).toMatchObject(ILLEGAL)
  })

  it('when it is cancelled', async () => {
    const id = await invite(ada, bob.email)
    const cancelled = await ada.mutate('organizations.invitations.cancel', { id })
    expect(cancelled).toMatchObject({ status: 200, json: { id, status: 'canceled' } })
    expect(await accept(bob, id)).toMatchObject({
      ...ILLEGAL,
      message: 'the invitation is already cancelled',
    })
    expect(await roleOf(bob)).toBeUndefined()
  })

  it('after two days', async () => {
    const id = await invite(ada, bob.email)
    const { rows } = await door.owner.query(
      `select expires_at - created_at = interval '48 hours' as "isDue" from auth.invitations where id = $1`,
      [id],
    )
    expect(rows[0].isDue).toBe(true)
    await door.owner.query('update auth.invitations set expires_at = now() where id = $1', [id])
    expect(await accept(bob, id)).toMatchObject({ ...ILLEGAL, message: 'the invitation has expired' })
    expect((await bob.query('organizations.invitations.list')).json).toEqual([])
  })

  it('when its address is invited again', async () => {
    const first = await invite(ada, bob.email)
    const second = await invite(ada, bob.email, 'admin')
    expect(await accept(bob, first)).toMatchObject(ILLEGAL)
    expect(await accept(bob, second)).toMatchObject({ status: 200 })
    expect(await roleOf(bob)).toBe('admin')
  })

  it('when its inviter loses the permission to invite', async () => {
    const eve = await door.signUpVerified('Eve')
    const second = await door.signUpVerified('Second')
    await accept(eve, await invite(ada, eve.email, 'owner'))
    const [asOwner, asAdmin, asMember] = [
      await invite(eve, bob.email, 'owner'),
      await invite(eve, second.email, 'admin'),
      await invite(eve, 'third@example.com', 'member'),
    ]
    const update = (role: string) =>
      ada.mutate('organizations.members.updateRole', { organizationId, userId: eve.userId, role })
    expect((await update('admin')).status).toBe(200)
    expect(await accept(bob, asOwner)).toMatchObject(ILLEGAL)
    const pending = async () =>
      (await ada.query('organizations.invitations.list', { organizationId })).json.map(
        (invitation: { id: string }) => invitation.id,
      )
    expect(await pending()).toEqual([asMember, asAdmin])
    await ada.mutate('organizations.members.remove', { organizationId, userId: eve.userId })
    expect(await pending()).toEqual([])
    expect(await accept(second, asAdmin)).toMatchObject(ILLEGAL)
  })
})

describe('an invitation', () => {
  it('can be created by admins and owners, and for an owner only by owners', async () => {
    await accept(bob, await invite(ada, bob.email, 'member'))
    const input = { organizationId, email: 'friend@example.com', role: 'member' }
    const create = (by: Person, role = 'member') =>
      by.mutate('organizations.invitations.create', { ...input, role })
    expect(await create(bob)).toMatchObject(ROLE_TOO_LOW)
    expect(await bob.query('organizations.invitations.list', { organizationId })).toMatchObject(ROLE_TOO_LOW)
    await ada.mutate('organizations.members.updateRole', {
      organizationId,
      userId: bob.userId,
      role: 'admin',
    })
    expect((await create(bob)).status).toBe(200)
    expect(await create(bob, 'owner')).toMatchObject(ROLE_TOO_LOW)

    const { json } = await create(ada, 'owner')
    expect((await bob.query('organizations.invitations.list', { organizationId })).json).toEqual([])
    expect(await bob.mutate('organizations.invitations.cancel', { id: json.id })).toMatchObject(ROLE_TOO_LOW)
  })

  it('cannot be created for a member', async () => {
    await accept(bob, await invite(ada, bob.email))
    const again = { organizationId, email: bob.email, role: 'admin' }
    expect(await ada.mutate('organizations.invitations.create', again)).toMatchObject({
      status: 409,
      reason: 'unique_violation',
      message: 'this is already a member of the organization',
    })
  })

  it.for(['nobody', 'a@b', '', 'a b@example.com', `${'x'.repeat(250)}@example.com`])(
    'cannot be created for the address "%s"',
    async email => {
      const input = { organizationId, email, role: 'member' }
      expect(await ada.mutate('organizations.invitations.create', input)).toMatchObject({
        status: 400,
        reason: 'invalid_input',
      })
    },
  )
})

it('limits the mails an hour to one address, over all senders and concurrent calls', async () => {
  const mailed: string[] = []
  const house = await openHouse({
    maxMailsPerHour: 6,
    mailInvitation: (_inviter, { email }) => void mailed.push(email),
  })
  try {
    const [eve, dan] = [await createActor(house), await createActor(house)]
    const organization = await createOrganization(eve)
    const other = await createOrganization(dan)
    const inviteOften = (by: Actor, { id }: { id: string }, email: string) =>
      by.caller().organizations.invitations.create({ organizationId: id, email, role: 'member' })
    const email = 'often@example.com'
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, () => inviteOften(eve, organization, email)),
    )
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(6)
    expect(await refusalOf(inviteOften(dan, other, email.toUpperCase()))).toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      reason: 'rate_limited',
    })
    expect(mailed).toEqual(Array(6).fill(email))
    await inviteOften(dan, other, 'another@example.com')
    await house.owner.query(`update auth.invitations set created_at = created_at - interval '1 hour'`)
    await inviteOften(dan, other, email)
  } finally {
    await house.close()
  }
})
