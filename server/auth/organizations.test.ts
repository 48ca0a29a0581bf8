import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, ORIGIN, type SignedUp } from './fixture.ts'

let fixture: AuthFixture
let owner: SignedUp
let member: SignedUp
let organizationId: string

beforeAll(async () => {
  fixture = await createAuthFixture()
  owner = await fixture.signUp('owner@example.com')
  member = await fixture.signUp('member@example.com')
  const created = await create(owner, 'acme')
  organizationId = created.body.id
})

afterAll(() => fixture.close())

function create({ token }: SignedUp, slug: string) {
  return fixture.call('POST', '/organization/create', { token, body: { name: slug, slug } })
}

async function members(id: string) {
  const { rows } = await fixture.owner.query(
    'select user_id, role from auth.members where organization_id = $1 order by id',
    [id],
  )
  return rows
}

test('creating an organization makes its creator the owner and the session active in it', async () => {
  expect(organizationId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  expect(await members(organizationId)).toEqual([{ user_id: owner.userId, role: 'owner' }])
  const { rows } = await fixture.owner.query(
    'select active_organization_id from auth.sessions where user_id = $1',
    [owner.userId],
  )
  expect(rows[0].active_organization_id).toBe(organizationId)
})

test('a taken slug is refused, also in concurrent requests', async () => {
  expect((await create(member, 'acme')).status).toBe(400)
  const answers = await Promise.all(Array.from({ length: 6 }, () => create(member, 'contended')))
  expect(answers.map(answer => answer.status).sort()).toEqual([200, ...Array(5).fill(400)])
})

test('the last owner can neither leave nor lose the role', async () => {
  const { rows } = await fixture.owner.query('select id from auth.members where organization_id = $1', [
    organizationId,
  ])
  const memberId = rows[0].id
  const attempts = await Promise.all([
    fixture.call('POST', '/organization/leave', { token: owner.token, body: { organizationId } }),
    fixture.call('POST', '/organization/remove-member', {
      token: owner.token,
      body: { memberIdOrEmail: owner.email, organizationId },
    }),
    fixture.call('POST', '/organization/update-member-role', {
      token: owner.token,
      body: { memberId, role: 'member', organizationId },
    }),
  ])
  for (const { status } of attempts) expect(status).toBe(400)
  expect(await members(organizationId)).toEqual([{ user_id: owner.userId, role: 'owner' }])
})

test('of two owners who leave at once, one remains', async () => {
  const { body } = await create(owner, 'pair')
  await fixture.owner.query(
    `insert into auth.members (organization_id, user_id, role) values ($1, $2, 'owner')`,
    [body.id, member.userId],
  )
  const answers = await Promise.all(
    [owner, member].map(({ token }) =>
      fixture.call('POST', '/organization/leave', { token, body: { organizationId: body.id } }),
    ),
  )
  expect(answers.map(answer => answer.status).sort()).toEqual([200, 400])
  expect(await members(body.id)).toHaveLength(1)
})

test('an invitation comes by mail and is accepted once the address is confirmed', async () => {
  const invited = await fixture.signUp('invited@example.com')
  const confirmation = await fixture.smtp.take(invited.email)
  const { status, body } = await fixture.call('POST', '/organization/invite-member', {
    token: owner.token,
    body: { email: invited.email, role: 'member', organizationId },
  })
  expect(status).toBe(200)
  expect((await fixture.smtp.take(invited.email)).link).toBe(`${ORIGIN}/accept-invitation/${body.id}`)

  const accept = () =>
    fixture.call('POST', '/organization/accept-invitation', {
      token: invited.token,
      body: { invitationId: body.id },
    })
  expect((await accept()).status).toBe(403)
  await fixture.call('GET', confirmation.link?.slice(`${ORIGIN}/api/auth`.length) ?? '')
  expect((await accept()).status).toBe(200)
  expect(await members(organizationId)).toContainEqual({ user_id: invited.userId, role: 'member' })
  expect((await accept()).status).toBe(400)
})

test("a stranger cannot read or change another's organization", async () => {
  const stranger = await fixture.signUp('stranger@example.com')
  const { token } = stranger
  const read = await fixture.call(
    'GET',
    `/organization/get-full-organization?organizationId=${organizationId}`,
    { token },
  )
  expect(read.status).toBe(403)
  const body = { organizationId, data: { name: 'Mine' } }
  expect((await fixture.call('POST', '/organization/update', { token, body })).status).toBeGreaterThanOrEqual(
    400,
  )
  const invite = { email: 'x@example.com', role: 'owner', organizationId }
  expect(
    (await fixture.call('POST', '/organization/invite-member', { token, body: invite })).status,
  ).toBeGreaterThanOrEqual(400)
  const setActive = await fixture.call('POST', '/organization/set-active', {
    token,
    body: { organizationId },
  })
  expect(setActive.status).toBe(403)
})

test('a removed organization, its members and its invitations do not exist for anyone', async () => {
  const invited = await fixture.signUp('late@example.com')
  const link = (await fixture.smtp.take(invited.email)).link ?? ''
  await fixture.call('GET', link.slice(`${ORIGIN}/api/auth`.length))
  const { body: organization } = await create(owner, 'short-lived')
  const { body: invitation } = await fixture.call('POST', '/organization/invite-member', {
    token: owner.token,
    body: { email: invited.email, role: 'member', organizationId: organization.id },
  })
  const remove = 'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1'
  await fixture.owner.query(remove, [organization.id])

  const list = await fixture.call('GET', '/organization/list', owner)
  expect(list.text).not.toContain(organization.id)
  const { id: organizationId } = organization
  const query = `?organizationId=${organizationId}`
  const invite = { email: 'x@example.com', role: 'member', organizationId }
  for (const [method, path, body] of [
    ['GET', `/organization/get-full-organization${query}`],
    ['GET', `/organization/list-members${query}`],
    ['GET', `/organization/list-invitations${query}`],
    ['POST', '/organization/update', { organizationId, data: { name: 'Back' } }],
    ['POST', '/organization/set-active', { organizationId }],
    ['POST', '/organization/invite-member', invite],
    ['POST', '/organization/leave', { organizationId }],
  ] as const) {
    const answer = await fixture.call(method, path, { token: owner.token, body })
    expect([400, 403], path).toContain(answer.status)
    expect(answer.text).not.toContain('short-lived')
  }
  const accepted = await fixture.call('POST', '/organization/accept-invitation', {
    token: invited.token,
    body: { invitationId: invitation.id },
  })
  expect(accepted.status).toBe(400)
  expect(await members(organizationId)).toEqual([{ user_id: owner.userId, role: 'owner' }])
  expect((await create(member, 'short-lived')).status).toBe(200)
})
