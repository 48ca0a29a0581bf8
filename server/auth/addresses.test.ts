// Tests mail addresses of internationalised domains at every endpoint that accepts an address.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, PASSWORD } from './fixture.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})

afterAll(() => fixture.close())

const SPELLINGS = ['user@example.xn--p1ai', 'User@EXAMPLE.XN--P1AI', 'user@example.рф', ' user@EXAMPLE.РФ']

// The sink decodes the domain, which was sent in ASCII.
const MAILED = 'user@example.рф'

test('all spellings of an address are one account, and mails reach it', async () => {
  const { token, email } = await fixture.signUp(SPELLINGS[2] ?? '')
  const { body } = await fixture.call('GET', '/get-session', { token })
  expect([email, body.user.email]).toEqual([SPELLINGS[2], SPELLINGS[0]])
  const { link } = await fixture.smtp.take(MAILED)
  for (const spelling of SPELLINGS) {
    const signIn = { email: spelling, password: PASSWORD }
    const signedIn = await fixture.call('POST', '/sign-in/email', { body: signIn })
    expect([spelling, signedIn.status, signedIn.body.user.email]).toEqual([spelling, 200, SPELLINGS[0]])
    const signUp = { ...signIn, name: 'Ada' }
    expect((await fixture.call('POST', '/sign-up/email', { body: signUp })).status).toBe(422)
    await fixture.smtp.take(MAILED)
    for (const path of ['/request-password-reset', '/send-verification-email']) {
      expect((await fixture.call('POST', path, { body: { email: spelling } })).status).toBe(200)
      await fixture.smtp.take(MAILED)
    }
  }
  const verified = await fixture.call('GET', (link ?? '').slice((link ?? '').indexOf('/verify-email')))
  expect(verified.status).toBe(302)
  const { rows } = await fixture.owner.query('select email, email_verified from auth.users')
  expect(rows).toEqual([{ email: SPELLINGS[0], email_verified: true }])
})

test('such an address can be invited, join, be listed and removed, and appears in the authenticator', async () => {
  const ada = await fixture.signUp('ada@example.com')
  const guest = await fixture.signUp('guest@bücher.рф')
  await fixture.owner.query('update auth.users set email_verified = true')
  const created = { name: 'Looms', slug: 'looms' }
  const { id } = (await fixture.call('POST', '/organization/create', { token: ada.token, body: created }))
    .body
  const invitation = await fixture.call('POST', '/organization/invite-member', {
    token: ada.token,
    body: { organizationId: id, email: 'GUEST@bücher.рф', role: 'member' },
  })
  const address = 'guest@xn--bcher-kva.xn--p1ai'
  expect([invitation.status, invitation.body.email]).toEqual([200, address])
  const mine = await fixture.call('GET', '/organization/list-user-invitations', { token: guest.token })
  expect(mine.body).toMatchObject([{ email: address }])
  const accepted = await fixture.call('POST', '/organization/accept-invitation', {
    token: guest.token,
    body: { invitationId: invitation.body.id },
  })
  expect(accepted.status).toBe(200)
  const listed = await fixture.call('GET', `/organization/list-members?organizationId=${id}`, {
    token: ada.token,
  })
  expect(listed.body.members.map((member: { user: { email: string } }) => member.user.email)).toContain(
    address,
  )
  const removed = await fixture.call('POST', '/organization/remove-member', {
    token: ada.token,
    body: { organizationId: id, memberIdOrEmail: 'guest@bücher.рф' },
  })
  expect(removed.status).toBe(200)
  const begun = await fixture.call('POST', '/two-factor/enable', {
    token: guest.token,
    body: { password: PASSWORD },
  })
  expect(decodeURIComponent(begun.body.totpURI)).toContain(`:${address}?`)
  const { rows } = await fixture.owner.query(
    'select email from auth.users union select email from auth.invitations',
  )
  expect(JSON.stringify(rows)).not.toContain('.invalid')
})
