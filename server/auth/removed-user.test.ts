import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, PASSWORD, type SignedUp } from './fixture.ts'

// Tests sign-in for a removed user whose rows are not all deleted yet.

let fixture: AuthFixture
let ada: SignedUp

beforeAll(async () => {
  fixture = await createAuthFixture()
})
let count = 0
beforeEach(async () => {
  ada = await fixture.signUp(`ada-${++count}@example.com`)
  await fixture.owner.query(
    `insert into app.tasks (user_id, title, prompt) select $1, 'x', 'x' from generate_series(1, 1500)`,
    [ada.userId],
  )
})
afterAll(() => fixture.close())

async function remove(): Promise<void> {
  await fixture.owner.query('delete from auth.users where id = $1', [ada.userId])
  const { rows } = await fixture.owner.query('select removed_at from auth.users where id = $1', [ada.userId])
  expect(rows).toEqual([{ removed_at: expect.any(Date) }])
}

const signIn = () =>
  fixture.call('POST', '/sign-in/email', { body: { email: ada.email, password: PASSWORD } })

test('neither their password nor their session signs in', async () => {
  expect((await signIn()).status).toBe(200)
  await remove()
  expect((await signIn()).status).toBe(401)
  expect((await fixture.call('GET', '/get-session', { token: ada.token })).body).toBeNull()
})

test('a remaining session is invalid, and none can be created', async () => {
  await remove()
  const { rows } = await fixture.owner.query<{ id: string }>(
    `insert into auth.sessions (user_id, token, expires_at)
     select $1, encode(sha256(decode(encode(sha256($2::bytea), 'hex'), 'hex')), 'hex'), now() + interval '1 day' returning id`,
    [ada.userId, ada.rawToken],
  )
  expect(rows).toHaveLength(1)
  expect((await fixture.call('GET', '/get-session', { token: ada.token })).body).toBeNull()
})

test('their address can sign up at once, as another user', async () => {
  await remove()
  const again = await fixture.signUp(ada.email)
  expect(again.userId).not.toBe(ada.userId)
  expect((await signIn()).body.user.id).toBe(again.userId)
  const { rows } = await fixture.owner.query(
    'select count(*)::int as count from app.tasks where user_id = $1',
    [again.userId],
  )
  expect(rows).toEqual([{ count: 0 }])
})

test('an earlier reset link sets no password, neither theirs nor that of the address’s new user', async () => {
  await fixture.call('POST', '/request-password-reset', { body: { email: ada.email } })
  // The first mail confirms the address.
  await fixture.smtp.take(ada.email)
  const { link } = await fixture.smtp.take(ada.email)
  const token = /reset-password\/([\w-]+)/.exec(link ?? '')?.[1] ?? ''
  expect(token).not.toBe('')
  await remove()
  const again = await fixture.signUp(ada.email)
  const { status } = await fixture.call('POST', '/reset-password', {
    body: { token, newPassword: 'another password' },
  })
  expect(status).toBe(400)
  expect((await signIn()).body.user.id).toBe(again.userId)
  const { rows } = await fixture.owner.query('select from auth.accounts where user_id = $1', [ada.userId])
  expect(rows).toEqual([])
})
