import { afterAll, beforeAll, expect, test } from 'vitest'
import { TooManyAttemptsError } from './auth.ts'
import { ENDPOINTS, findEndpoint } from './endpoints.ts'
import { type AuthFixture, createAuthFixture, ORIGIN, PASSWORD } from './fixture.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})

afterAll(() => fixture.close())

const CLOSED = [
  ['GET', '/list-sessions'],
  ['POST', '/revoke-session'],
  ['POST', '/revoke-sessions'],
  ['POST', '/revoke-other-sessions'],
  ['POST', '/update-session'],
  ['POST', '/delete-user'],
  ['GET', '/delete-user/callback'],
  ['POST', '/get-access-token'],
  ['POST', '/refresh-token'],
  ['GET', '/account-info'],
  ['POST', '/change-email'],
  ['POST', '/organization/delete'],
  ['POST', '/organization/create-team'],
  ['POST', '/two-factor/send-otp'],
  ['GET', '/%6cist-sessions'],
  ['GET', '/list-sessions/'],
  ['GET', '//list-sessions'],
  ['GET', '/LIST-SESSIONS'],
  ['GET', '/get-session/../list-sessions'],
] as const

test('closed endpoints answer 404 for every spelling of their path', async () => {
  const { token } = await fixture.signUp('closed@example.com')
  for (const [method, path] of CLOSED) {
    const body = method === 'POST' ? { body: {} } : {}
    expect([path, (await fixture.call(method, path, { token, ...body })).status]).toEqual([path, 404])
  }
})

test('every listed endpoint exists', async () => {
  const { token } = await fixture.signUp('listed@example.com')
  for (const { method, path } of ENDPOINTS) {
    expect(findEndpoint(method, path.replace(/:\w+/, 'x'))).toBeDefined()
    const body = method === 'POST' ? { body: {} } : {}
    const caller = path === '/sign-out' ? {} : { token }
    const { status, text } = await fixture.call(method, path.replace(/:\w+/, 'x'), { ...caller, ...body })
    // Better Auth answers 404 without a body for an unknown endpoint.
    expect([path, status === 404 && text === '']).toEqual([path, false])
  }
})

test('a mail resets a forgotten password, once, and ends every session', async () => {
  const { userId, email, token } = await fixture.signUp('reset@example.com')
  await fixture.smtp.take(email)
  const asked = await fixture.call('POST', '/request-password-reset', {
    body: { email, redirectTo: `${ORIGIN}/new-password` },
  })
  expect(asked.status).toBe(200)
  const link = new URL((await fixture.smtp.take(email)).link ?? '')
  const { rows: pending } = await fixture.owner.query('select identifier, value from auth.verifications')
  for (const row of pending) {
    expect(row.identifier).toMatch(/^[0-9a-f]{64}$/)
    expect(row.value).not.toContain(userId)
  }

  const followed = await fixture.call('GET', link.href.slice(`${ORIGIN}/api/auth`.length) as `/${string}`)
  expect(followed.status).toBe(302)
  const resetToken = new URL(followed.headers.get('location') ?? '').searchParams.get('token')
  const body = { token: resetToken, newPassword: 'a brand new password' }
  expect((await fixture.call('POST', '/reset-password', { body })).status).toBe(200)

  expect((await fixture.call('POST', '/reset-password', { body })).status).toBe(400)
  expect((await fixture.call('GET', '/get-session', { token })).body).toBeNull()
  expect((await fixture.call('POST', '/sign-in/email', { body: { email, password: PASSWORD } })).status).toBe(
    401,
  )
  const signIn = await fixture.call('POST', '/sign-in/email', {
    body: { email, password: 'a brand new password' },
  })
  expect(signIn.status).toBe(200)
})

test('a stored identifier does not work as a reset token', async () => {
  const { email } = await fixture.signUp('stored-identifier@example.com')
  await fixture.call('POST', '/request-password-reset', { body: { email } })
  const { rows } = await fixture.owner.query('select identifier from auth.verifications')
  expect(rows.length).toBeGreaterThan(0)
  for (const { identifier } of rows) {
    for (const token of [identifier, `reset-password:${identifier}`]) {
      const { status } = await fixture.call('POST', '/reset-password', {
        body: { token, newPassword: 'stolen password' },
      })
      expect(status).toBe(400)
    }
  }
})

test('asking to reset an unknown address answers the same and sends nothing', async () => {
  const known = await fixture.signUp('known@example.com')
  await fixture.smtp.take(known.email)
  const answers = await Promise.all(
    [known.email, 'unknown@example.com'].map(email =>
      fixture.call('POST', '/request-password-reset', { body: { email } }),
    ),
  )
  expect(answers[0]?.text).toBe(answers[1]?.text)
  await fixture.smtp.take(known.email)
  expect(fixture.smtp.mails.some(mail => mail.to.includes('unknown@example.com'))).toBe(false)
})

test('the mail of a sign-up confirms its address; signing in does not wait for it', async () => {
  const { userId, email, token } = await fixture.signUp('verify@example.com')
  const link = (await fixture.smtp.take(email)).link ?? ''
  expect((await fixture.call('GET', '/get-session', { token })).body.user.emailVerified).toBe(false)
  await fixture.call('GET', link.slice(`${ORIGIN}/api/auth`.length))
  const { rows } = await fixture.owner.query('select email_verified from auth.users where id = $1', [userId])
  expect(rows[0].email_verified).toBe(true)
})

test('of many sign-ups at once with one address, one creates a user', async () => {
  const body = { email: 'race@example.com', password: PASSWORD, name: 'Ada' }
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      fixture.call('POST', '/sign-up/email', {
        body: { ...body, email: index % 2 ? body.email : 'Race@Example.com' },
      }),
    ),
  )
  expect(answers.map(answer => answer.status).sort()).toEqual([200, ...Array(11).fill(422)])
  const { rows } = await fixture.owner.query('select id from auth.users where email = $1', [body.email])
  const { rows: accounts } = await fixture.owner.query('select 1 from auth.accounts where user_id = $1', [
    rows[0].id,
  ])
  expect([rows.length, accounts.length]).toEqual([1, 1])
})

test('an unconfigured provider is absent, a configured one answers with its address', async () => {
  const body = { provider: 'github', callbackURL: '/', disableRedirect: true }
  expect((await fixture.call('POST', '/sign-in/social', { body })).status).toBe(404)
  const auth = fixture.another({
    config: { socialProviders: { github: { clientId: 'id', clientSecret: 'secret' } } },
  })
  const { status, body: answer } = await fixture.call('POST', '/sign-in/social', { auth, body })
  expect(status).toBe(200)
  const state = new URL(answer.url).searchParams.get('state') ?? ''
  expect(new URL(answer.url).hostname).toBe('github.com')
  const { rows } = await fixture.owner.query('select json_agg(v)::text as dump from auth.verifications v')
  expect(rows[0].dump).not.toContain(state)
  expect(
    (await fixture.call('POST', '/sign-in/social', { auth, body: { ...body, provider: 'google' } })).status,
  ).toBe(404)
})

test("a program signs up with Node's fetch without an origin; a page that hides its origin does not", async () => {
  const body = (email: string) => ({ email, password: PASSWORD, name: 'Ada' })
  const program = { 'sec-fetch-mode': 'cors' }
  const page = { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'cross-site' }
  expect(
    (await fixture.call('POST', '/sign-up/email', { headers: program, body: body('p@example.com') })).status,
  ).toBe(200)
  expect(
    (await fixture.call('POST', '/sign-up/email', { headers: page, body: body('q@example.com') })).status,
  ).toBe(403)
})

test('a foreign callback address is refused', async () => {
  const { email } = await fixture.signUp('callback@example.com')
  const body = { email, redirectTo: 'https://evil.example.com/' }
  expect((await fixture.call('POST', '/request-password-reset', { body })).status).toBe(403)
})

test("a user's password can be checked a limited number of times", async () => {
  const { userId } = await fixture.signUp('check@example.com')
  expect(await fixture.auth.verifyPassword(userId, PASSWORD)).toBe(true)
  expect(await fixture.auth.verifyPassword(userId, 'wrong password')).toBe(false)
  expect(await fixture.auth.verifyPassword('00000000-0000-7000-8000-000000000000', PASSWORD)).toBe(false)
  const auth = fixture.another({ rateLimits: { accountSignIn: { limit: 3, windowSeconds: 60 } } })
  await auth.verifyPassword(userId, 'wrong password')
  await expect(auth.verifyPassword(userId, PASSWORD)).rejects.toThrow(TooManyAttemptsError)
})

test('text that Postgres cannot hold, bad JSON and huge bodies are refused', async () => {
  const sent = (body: unknown) => fixture.call('POST', '/sign-up/email', { body })
  expect((await sent({ email: 'a@example.com', password: PASSWORD, name: 'a\0b' })).status).toBe(400)
  expect((await sent('{"email":"a@example.com","password":"long enough","name":"\\ud800"}')).status).toBe(400)
  expect((await sent('{')).status).toBe(400)
  expect((await sent('['.repeat(30_000) + ']'.repeat(30_000))).status).toBe(400)
  expect((await sent({ email: 'a@example.com', password: PASSWORD, name: 'a'.repeat(70_000) })).status).toBe(
    413,
  )
  const { token } = await fixture.signUp('text@example.com')
  for (const query of ['organizationSlug=%00', 'organizationId=nonsense']) {
    const { status } = await fixture.call('GET', `/organization/get-full-organization?${query}`, { token })
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  }
})

test('without a database the answer is 503, not "signed out"', async () => {
  const { token } = await fixture.signUp('outage@example.com')
  const unreachable = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const auth = fixture.another({ takeRateLimit: () => Promise.reject(unreachable) })
  const answer = await fixture.call('GET', '/get-session', { auth, token })
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
})
