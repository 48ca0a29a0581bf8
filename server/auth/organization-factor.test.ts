import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, type SignedUp } from './fixture.ts'
import { enrol } from './two-factor-fixture.ts'

let fixture: AuthFixture
let owner: SignedUp
let member: SignedUp
let organizationId: string
let invitationId: string

beforeAll(async () => {
  fixture = await createAuthFixture()
  owner = await enrol(fixture, 'owner@example.com')
  member = await fixture.signUp('member@example.com')
  const body = { name: 'Strict', slug: 'strict' }
  organizationId = (await fixture.call('POST', '/organization/create', { token: owner.token, body })).body.id
  await fixture.owner.query(
    `insert into auth.members (organization_id, user_id, role) values ($1, $2, 'admin')`,
    [organizationId, member.userId],
  )
  await fixture.owner.query('update auth.organizations set require_two_factor = true')
  const invited = await fixture.call('POST', '/organization/invite-member', {
    token: owner.token,
    body: { organizationId, email: 'invited@example.com', role: 'member' },
  })
  invitationId = invited.body.id
})

beforeEach(() => setActive(null))

afterAll(() => fixture.close())

async function setActive(id: string | null) {
  await fixture.owner.query('update auth.sessions set active_organization_id = $1', [id])
}

async function call(method: 'GET' | 'POST', path: string, body?: object) {
  const answer = await fixture.call(method, `/organization${path}`, {
    token: member.token,
    ...(body === undefined ? {} : { body }),
  })
  return [answer.status, answer.body?.code]
}

const REFUSED = [412, 'two_factor_required']

test('an organization that requires the factor refuses a member without one, however the request names it', async () => {
  const shouted = organizationId.toUpperCase()
  const invitation = { organizationId, email: 'x@example.com', role: 'member' }
  expect(await call('GET', `/list-members?organizationId=${organizationId}`)).toEqual(REFUSED)
  expect(await call('GET', `/list-members?organizationId=${shouted}`)).toEqual(REFUSED)
  expect(await call('GET', '/list-members?organizationSlug=strict')).toEqual(REFUSED)
  expect(await call('GET', '/get-full-organization?organizationSlug=strict')).toEqual(REFUSED)
  expect(await call('POST', '/invite-member', invitation)).toEqual(REFUSED)
  expect(await call('POST', '/cancel-invitation', { invitationId })).toEqual(REFUSED)
  expect(await call('POST', '/set-active', { organizationId })).toEqual(REFUSED)
  const { rows } = await fixture.owner.query('select status from auth.invitations')
  expect(rows).toEqual([{ status: 'pending' }])
})

test('an active organization also refuses, until another one is chosen', async () => {
  await setActive(organizationId)
  expect(await call('GET', '/list-members')).toEqual(REFUSED)
  expect(await call('POST', '/update', { data: { name: 'Mine' } })).toEqual(REFUSED)
  expect(await call('POST', '/set-active', { organizationId: null })).toEqual([200, undefined])
})

test('its owner, who has the factor, may use it; the member sees it in their list', async () => {
  const list = await fixture.call('GET', `/organization/list-members?organizationId=${organizationId}`, {
    token: owner.token,
  })
  expect(list.body.members).toHaveLength(2)
  expect(await call('GET', '/list')).toEqual([200, undefined])
  expect(await call('POST', '/create', { name: 'Mine', slug: 'mine' })).toEqual([200, undefined])
})
