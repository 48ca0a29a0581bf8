import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Auth } from './auth.ts'
import { type AuthFixture, createAuthFixture, PASSWORD } from './fixture.ts'
import { cookiesOf, enrol } from './two-factor-fixture.ts'

let fixture: AuthFixture
let auth: Auth

const GITHUB_TOKEN = 'gho_0123456789abcdefghijABCDEFGHIJ012345'
let profile = {
  id: 42,
  login: 'ada',
  name: 'Ada',
  email: 'ada@example.com',
  avatar_url: 'https://example.com/a.png',
}

beforeAll(async () => {
  fixture = await createAuthFixture()
  auth = fixture.another({
    config: { socialProviders: { github: { clientId: 'id', clientSecret: 'sh-secret' } } },
  })
  const answers: Record<string, () => unknown> = {
    'https://github.com/login/oauth/access_token': () => ({
      access_token: GITHUB_TOKEN,
      token_type: 'bearer',
      scope: 'read:user,user:email',
    }),
    'https://api.github.com/user': () => profile,
    'https://api.github.com/user/emails': () => [{ email: profile.email, primary: true, verified: true }],
  }
  vi.stubGlobal('fetch', async (input: string | URL | Request) => {
    const url = input instanceof Request ? input.url : String(input)
    const answer = answers[url]
    if (!answer) throw new Error(`nothing answers at ${url}`)
    return Response.json(answer())
  })
})

afterAll(async () => {
  vi.unstubAllGlobals()
  await fixture.close()
})

async function begin(urls: { errorCallbackURL?: string } = {}) {
  const body = { provider: 'github', callbackURL: '/welcome', disableRedirect: true, ...urls }
  const started = await fixture.call('POST', '/sign-in/social', { auth, body })
  const cookie = started.headers
    .getSetCookie()
    .map(value => value.split(';')[0])
    .join('; ')
  return { cookie, state: new URL(started.body.url).searchParams.get('state') ?? '' }
}

function finish(state: string, cookie: string) {
  const headers = { cookie }
  return fixture.call('GET', `/callback/github?code=c0de&state=${encodeURIComponent(state)}`, {
    auth,
    headers,
  })
}

test('signing in with GitHub creates a session, and its tokens are stored encrypted', async () => {
  const { cookie, state } = await begin()
  const { status, headers } = await finish(state, cookie)
  expect([status, headers.get('location')]).toEqual([302, '/welcome'])
  const token = headers.get('set-auth-token') ?? ''
  const session = await fixture.call('GET', '/get-session', { auth, token })
  expect(session.body.user).toMatchObject({ email: 'ada@example.com', emailVerified: true })
  const { rows } = await fixture.owner.query('select access_token, id_token, account_id from auth.accounts')
  expect(rows).toHaveLength(1)
  expect(rows[0].account_id).toBe('42')
  expect(rows[0].access_token).toBeTruthy()
  expect(JSON.stringify(rows)).not.toContain(GITHUB_TOKEN)
  expect(fixture.logLines.join('')).not.toMatch(new RegExp(`${GITHUB_TOKEN}|sh-secret`))
})

test('a state works once, and only in the browser that started the sign-in', async () => {
  const mine = await begin()
  const other = await begin()
  for (const [state, cookie] of [
    [mine.state, other.cookie],
    [mine.state, ''],
    ['made-up', mine.cookie],
  ] as const) {
    const { headers } = await finish(state, cookie)
    expect(headers.get('set-auth-token')).toBeNull()
    expect(headers.get('location')).toContain('error=')
  }
  expect((await finish(mine.state, mine.cookie)).headers.get('set-auth-token')).not.toBeNull()
  expect((await finish(mine.state, mine.cookie)).headers.get('set-auth-token')).toBeNull()
})

test('an account with an unconfirmed address is not merged with a sign-in of the address’s owner', async () => {
  const squatted = 'squatted@example.com'
  await fixture.signUp(squatted)
  profile = { ...profile, id: 43, email: squatted }
  const { cookie, state } = await begin()
  const { headers } = await finish(state, cookie)
  const signedIn = headers.get('set-auth-token') !== null
  const { status } = await fixture.call('POST', '/sign-in/email', {
    auth,
    body: { email: squatted, password: PASSWORD },
  })
  // Either the sign-in is refused, or the squatter's password is removed: an account never has two owners.
  expect(signedIn && status === 200).toBe(false)
})

test('signing in with GitHub requires a user’s second factor, and creates no session without it', async () => {
  const email = 'second-factor@example.com'
  const user = await enrol(fixture, email)
  await fixture.owner.query('update auth.users set email_verified = true where id = $1', [user.userId])
  await fixture.owner.query('delete from auth.sessions where user_id = $1', [user.userId])
  profile = { ...profile, id: 44, email }
  const { cookie, state } = await begin({ errorCallbackURL: '/sign-in' })
  const challenge = await finish(state, cookie)
  expect(challenge.status).toBe(302)
  expect(challenge.headers.get('location')).toMatch(/^\/sign-in\?error=two_factor_required/)
  expect(challenge.headers.get('set-auth-token')).toBeNull()
  expect(cookiesOf(challenge)).not.toContain('session_token')
  const { rows } = await fixture.owner.query('select from auth.sessions where user_id = $1', [user.userId])
  expect(rows).toEqual([])

  const verified = await fixture.call('POST', '/two-factor/verify-totp', {
    auth,
    headers: { cookie: cookiesOf(challenge), origin: 'http://localhost:3000' },
    body: { code: user.code() },
  })
  const token = verified.headers.get('set-auth-token') ?? ''
  expect((await fixture.call('GET', '/get-session', { auth, token })).body.user.id).toBe(user.userId)
})

test('a user without a password switches the factor on right after signing in, and later only after signing in again', async () => {
  profile = { ...profile, id: 45, email: 'passwordless@example.com' }
  const { cookie, state } = await begin()
  const signedIn = (await finish(state, cookie)).headers.get('set-auth-token') ?? ''
  const enable = () => fixture.call('POST', '/two-factor/enable', { auth, token: signedIn, body: {} })
  await fixture.owner.query(`update auth.sessions set created_at = now() - interval '11 minutes'`)
  expect((await enable()).status).toBe(403)
  await fixture.owner.query('update auth.sessions set created_at = now()')
  expect((await enable()).status).toBe(200)
})

test('a name from a provider never fails a sign-in, and is cleaned for display', async () => {
  const avatar = (avatar_url: string) => ({ ...profile, avatar_url })
  const profiles = [
    { ...avatar('javascript:alert(1)'), id: 50, email: 'long@example.com', name: 'x'.repeat(60_000) },
    {
      ...avatar(`https://${'x'.repeat(9_000)}`),
      id: 51,
      email: 'odd@example.com',
      name: 'Ada\n\u202eL\u0000',
    },
    { ...avatar(''), id: 52, email: 'blank@example.com', name: '\u200b', login: '' },
  ]
  for (const one of profiles) {
    profile = one
    const { cookie, state } = await begin()
    expect((await finish(state, cookie)).headers.get('set-auth-token')).not.toBeNull()
  }
  const { rows } = await fixture.owner.query(
    `select name, image from auth.users where email in ('long@example.com', 'odd@example.com', 'blank@example.com') order by id`,
  )
  expect(rows).toEqual([
    { name: 'x'.repeat(100), image: null },
    { name: 'Ada L', image: null },
    { name: 'User', image: null },
  ])
})

test('an address of an internationalised domain from a provider belongs to the same account as its password', async () => {
  const email = 'social@example.xn--p1ai'
  await fixture.signUp(email)
  await fixture.owner.query('update auth.users set email_verified = true where email = $1', [email])
  profile = {
    ...profile,
    id: 53,
    email: 'Social@example.рф',
    name: 'Ada',
    avatar_url: 'https://example.com/a.png',
  }
  const { cookie, state } = await begin()
  const token = (await finish(state, cookie)).headers.get('set-auth-token') ?? ''
  const session = await fixture.call('GET', '/get-session', { auth, token })
  expect(session.body.user.email).toBe(email)
})
