import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, PASSWORD, type SignedUp } from './fixture.ts'
import { enrol, giveCode, givePassword } from './two-factor-fixture.ts'

const NEW = 'a brand new password'

let fixture: AuthFixture
let user: SignedUp
let users = 0

beforeAll(async () => {
  fixture = await createAuthFixture()
})

beforeEach(async () => {
  users++
  user = await fixture.signUp(`reset-${users}@example.com`)
  await fixture.smtp.take(user.email)
})

afterAll(() => fixture.close())

/** Requests a reset and returns the token of the mailed link. */
async function askForLink({ email } = user): Promise<string> {
  await fixture.call('POST', '/request-password-reset', { body: { email } })
  return new URL((await fixture.smtp.take(email)).link ?? '').pathname.split('/').at(-1) ?? ''
}

async function follow(token: string): Promise<number> {
  return (await fixture.call('POST', '/reset-password', { body: { token, newPassword: NEW } })).status
}

test('using one reset link invalidates the older and the newer ones', async () => {
  const links = [await askForLink(), await askForLink(), await askForLink()]
  expect(await follow(links[1] ?? '')).toBe(200)
  expect(await follow(links[0] ?? '')).toBe(400)
  expect(await follow(links[2] ?? '')).toBe(400)
  const page = await fixture.call('GET', `/reset-password/${links[0]}?callbackURL=/new`)
  expect(page.headers.get('location')).toContain('error=INVALID_TOKEN')
})

test('of several links used at once, one changes the password', async () => {
  const links = [await askForLink(), await askForLink(), await askForLink(), await askForLink()]
  const statuses = await Promise.all(links.map(follow))
  expect(statuses.filter(status => status === 200)).toHaveLength(1)
  expect(Math.max(...statuses)).toBeLessThan(500)
})

test('changing the password invalidates the user’s earlier links, and no others', async () => {
  const other = await fixture.signUp(`bystander-${users}@example.com`)
  await fixture.smtp.take(other.email)
  const [link, others] = [await askForLink(), await askForLink(other)]
  const body = { currentPassword: PASSWORD, newPassword: NEW }
  expect((await fixture.call('POST', '/change-password', { token: user.token, body })).status).toBe(200)
  expect(await follow(link)).toBe(400)
  expect(await follow(await askForLink())).toBe(200)
  expect(await follow(others)).toBe(200)
})

test('a new mail address invalidates the earlier links', async () => {
  const link = await askForLink()
  await fixture.owner.query('update auth.users set email = $2 where id = $1', [
    user.userId,
    `moved-${users}@example.com`,
  ])
  expect(await follow(link)).toBe(400)
})

test('a new name or picture does not affect them', async () => {
  const link = await askForLink()
  const body = { name: 'Ada Lovelace', image: 'https://example.com/ada.png' }
  expect((await fixture.call('POST', '/update-user', { token: user.token, body })).status).toBe(200)
  expect(await follow(link)).toBe(200)
})

test('removing the account removes its links', async () => {
  await askForLink()
  await fixture.owner.query('delete from auth.users where id = $1', [user.userId])
  const { rows } = await fixture.owner.query('select from auth.verifications where user_id = $1', [
    user.userId,
  ])
  expect(rows).toHaveLength(0)
})

test('a new password invalidates a sign-in that waits for its code', async () => {
  const enrolled = await enrol(fixture, user)
  const challenge = await givePassword(fixture, user.email)
  const body = { currentPassword: PASSWORD, newPassword: NEW }
  const changed = await fixture.call('POST', '/change-password', { token: enrolled.token, body })
  expect(changed.status).toBe(200)
  const answer = await giveCode(fixture, challenge, { code: enrolled.code() })
  expect([answer.status, answer.headers.get('set-auth-token')]).toEqual([401, null])
})
