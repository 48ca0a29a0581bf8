import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Auth } from './auth.ts'
import { type Answer, type AuthFixture, createAuthFixture, PASSWORD } from './fixture.ts'

let fixture: AuthFixture
let auth: Auth

beforeAll(async () => {
  fixture = await createAuthFixture()
  auth = fixture.another({ config: { signUp: 'private' } })
})

afterAll(() => fixture.close())

function post(path: string, body: object): Promise<Answer> {
  return fixture.call('POST', path, { auth, body })
}

function signUp(email: string, password = PASSWORD) {
  return post('/sign-up/email', { email, password, name: 'Ada' })
}

/** An answer without the parts that differ between any two sign-ups. */
function shapeOf({ status, headers, text, body }: Answer) {
  const version = String(body.user?.id).charAt(14)
  const blank = text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'time')
    .replaceAll(/[a-z0-9-]+@example.com/g, 'email')
  return { status, headers: [...headers.keys()].sort(), blank, version }
}

async function confirm(email: string) {
  const { link } = await fixture.smtp.take(email)
  await fixture.call('GET', (link ?? '').slice((link ?? '').indexOf('/api/auth') + 9), { auth })
}

test('a sign-up has the same answer for a new address, an unconfirmed one and one with an account', async () => {
  const confirmed = 'confirmed@example.com'
  await signUp(confirmed)
  await confirm(confirmed)
  const fresh = await signUp('fresh@example.com')
  expect(fresh.status).toBe(200)
  expect(fresh.headers.get('set-auth-token')).toBeNull()
  expect(fresh.headers.getSetCookie()).toEqual([])
  for (const email of ['fresh@example.com', confirmed, 'Confirmed@Example.com']) {
    expect(shapeOf(await signUp(email, 'a password of mine'))).toEqual(shapeOf(fresh))
  }
})

test('many concurrent sign-ups with one new address have the same answer', async () => {
  const answers = await Promise.all(Array.from({ length: 5 }, () => signUp('race@example.com')))
  const [first, ...others] = answers.map(shapeOf)
  for (const other of others) expect(other).toEqual(first)
  const { rows } = await fixture.owner.query(`select from auth.users where email = 'race@example.com'`)
  expect(rows).toHaveLength(1)
})

test('the owner of an address receives a mail, and their password stays', async () => {
  const email = 'owner@example.com'
  await signUp(email)
  await confirm(email)
  await signUp(email, 'a password of mine')
  expect((await fixture.smtp.take(email)).source).toContain('already has an account')
  const signIn = (password: string) => post('/sign-in/email', { email, password })
  expect((await signIn('a password of mine')).status).toBe(401)
  expect((await signIn(PASSWORD)).headers.get('set-auth-token')).not.toBeNull()
})

test('the password of a sign-up reveals nothing before the address is confirmed', async () => {
  const taken = 'taken@example.com'
  await signUp(taken)
  await confirm(taken)
  await signUp(taken, 'a password of mine')
  await signUp('free@example.com', 'a password of mine')
  const tried = await Promise.all(
    [taken, 'free@example.com', 'nobody@example.com'].map(email =>
      post('/sign-in/email', { email, password: 'a password of mine' }),
    ),
  )
  const [first, ...others] = tried.map(shapeOf)
  expect(first?.status).toBe(401)
  for (const other of others) expect(other).toEqual(first)
  await confirm('free@example.com')
  const signedIn = await post('/sign-in/email', { email: 'free@example.com', password: 'a password of mine' })
  expect(signedIn.status).toBe(200)
})

test('a user whose address a stranger signed up takes over the account by a reset link', async () => {
  const email = 'squatted@example.com'
  await signUp(email, 'the squatter knows it')
  await fixture.smtp.take(email)
  await post('/request-password-reset', { email })
  const token = new URL((await fixture.smtp.take(email)).link ?? '').pathname.split('/').at(-1)
  expect((await post('/reset-password', { token, newPassword: 'only I know this' })).status).toBe(200)
  const signIn = (password: string) => post('/sign-in/email', { email, password })
  expect((await signIn('the squatter knows it')).status).toBe(401)
  expect((await signIn('only I know this')).status).toBe(200)
})

test('an open sign-up answers with a session, and the owner of an existing account receives a mail', async () => {
  const { email } = await fixture.signUp('open@example.com')
  await fixture.smtp.take(email)
  const body = { email, password: 'a password of mine', name: 'Ada' }
  const again = await fixture.call('POST', '/sign-up/email', { body })
  expect([again.status, again.headers.get('set-auth-token')]).toEqual([422, null])
  expect((await fixture.smtp.take(email)).source).toContain('already has an account')
})

test('no answer waits for the sending of a mail', async () => {
  let release = () => {}
  const sent = new Promise<boolean>(resolve => {
    release = () => resolve(true)
  })
  const slow = fixture.another({ mailer: { send: () => sent, close: async () => {} } })
  const { email } = await fixture.signUp('slow-mail@example.com')
  for (const path of ['/request-password-reset', '/send-verification-email', '/sign-up/email'] as const) {
    const body = path === '/sign-up/email' ? { email, password: PASSWORD, name: 'Ada' } : { email }
    expect((await fixture.call('POST', path, { auth: slow, body })).status).toBeLessThan(500)
  }
  release()
  await slow.close()
})
