import { afterAll, beforeAll, expect, test } from 'vitest'
import { whileWaiting } from '#server/testing/while-waiting.ts'
import { type AuthFixture, createAuthFixture, ORIGIN, PASSWORD, SECRET } from './fixture.ts'
import {
  readSessionCookie,
  serializeSessionCookie,
  sessionCookieName,
  signSessionToken,
  storedSessionToken,
  verifySessionToken,
} from './session-token.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})

afterAll(() => fixture.close())

async function sessionRows(userId: string) {
  const { rows } = await fixture.owner.query('select * from auth.sessions where user_id = $1 order by id', [
    userId,
  ])
  return rows
}

test('signing up stores the hash of the session token and a uuid for every id', async () => {
  const { userId, rawToken } = await fixture.signUp('stored@example.com')
  const [session] = await sessionRows(userId)
  expect(userId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  expect(session.token).toBe(storedSessionToken(rawToken))
  expect(session.ip_address).toBe('127.0.0.1')
  expect(session.slides).toBe(true)
})

test('a copy of the database holds no token in plain text', async () => {
  const { email, rawToken, token } = await fixture.signUp('dump@example.com')
  await fixture.smtp.take(email)
  await fixture.call('POST', '/request-password-reset', { body: { email } })
  const resetToken = (await fixture.smtp.take(email)).link?.split('/reset-password/')[1]?.split('?')[0]
  expect(resetToken).toMatch(/^\w{24}$/)
  const dump = await dumpAuthTables()
  expect(dump).toContain(email)
  for (const secret of [rawToken, token, resetToken ?? '', PASSWORD]) expect(dump).not.toContain(secret)
  expect(fixture.logLines.join('\n')).not.toContain(rawToken)
  expect(fixture.logLines.join('\n')).not.toContain(resetToken)
})

async function dumpAuthTables(): Promise<string> {
  const tables = ['users', 'sessions', 'accounts', 'verifications', 'organizations', 'members', 'invitations']
  const dumps = await Promise.all(
    tables.map(table =>
      fixture.owner.query(`select coalesce(json_agg(t), '[]')::text as dump from auth.${table} t`),
    ),
  )
  return dumps.map(({ rows }) => rows[0].dump).join('\n')
}

test('the signed token works as a bearer token and as a cookie', async () => {
  const { email, token } = await fixture.signUp('forms@example.com')
  const cookie = `${sessionCookieName(false)}=${encodeURIComponent(token)}`
  const forms: Record<string, string>[] = [
    { authorization: `Bearer ${token}` },
    { authorization: `bearer ${encodeURIComponent(token)}` },
    { cookie },
    { cookie: `other=1; ${cookie}; more=2` },
  ]
  for (const headers of forms) {
    const { status, body } = await fixture.call('GET', '/get-session', { headers })
    expect(status).toBe(200)
    expect(body?.user.email).toBe(email)
  }
})

test('a token is accepted whatever characters its signature has', async () => {
  for (let index = 0; index < 20; index++) {
    const { token, email } = await fixture.signUp(`characters-${index}@example.com`)
    expect(verifySessionToken(token, SECRET)).not.toBeNull()
    const { body } = await fixture.call('GET', '/get-session', { token })
    expect(body?.user.email).toBe(email)
  }
})

test('a raw token, a stored hash, a row id and a wrong signature are refused without a statement', async () => {
  const { userId, rawToken, token } = await fixture.signUp('refused@example.com')
  const [session] = await sessionRows(userId)
  const before = fixture.statements.count
  for (const refused of [
    rawToken,
    session.token,
    session.id,
    `${rawToken}.${'A'.repeat(43)}=`,
    `${session.token}.${token.slice(token.lastIndexOf('.') + 1)}`,
    token.slice(0, -2) + (token.at(-2) === 'A' ? 'B' : 'A') + token.slice(-1),
  ]) {
    expect((await fixture.call('GET', '/get-session', { token: refused })).body).toBeNull()
    const cookie = `${sessionCookieName(false)}=${encodeURIComponent(refused)}`
    expect((await fixture.call('GET', '/get-session', { headers: { cookie } })).body).toBeNull()
    expect((await fixture.call('GET', '/list-accounts', { token: refused })).status).toBe(401)
  }
  expect(fixture.statements.count).toBe(before)
})

test('a stored hash signed with the right secret is still not a token', async () => {
  const { userId } = await fixture.signUp('signed-hash@example.com')
  const [session] = await sessionRows(userId)
  for (const value of [session.token, session.id]) {
    const { body } = await fixture.call('GET', '/get-session', { token: signSessionToken(value, SECRET) })
    expect(body).toBeNull()
  }
})

test('no body contains a bare session token', async () => {
  const signUp = await fixture.call('POST', '/sign-up/email', {
    body: { email: 'bodies@example.com', password: PASSWORD, name: 'Ada' },
  })
  const signIn = await fixture.call('POST', '/sign-in/email', {
    body: { email: 'bodies@example.com', password: PASSWORD },
  })
  const token = signIn.headers.get('set-auth-token') ?? ''
  const session = await fixture.call('GET', '/get-session', { token })
  const change = await fixture.call('POST', '/change-password', {
    token,
    body: { currentPassword: PASSWORD, newPassword: 'another password', revokeOtherSessions: true },
  })
  const changedToken = change.headers.get('set-auth-token') ?? ''
  expect(signUp.body.token).toBeNull()
  expect(signIn.body.token).toBeNull()
  expect(session.body.session.token).toBeNull()
  expect(change.body.token).toBeNull()
  for (const answer of [signUp, signIn, session, change]) {
    for (const signed of [token, changedToken, signUp.headers.get('set-auth-token') ?? '']) {
      expect(answer.text).not.toContain(signed.split('.')[0])
    }
  }
  expect((await fixture.call('GET', '/get-session', { token })).body).toBeNull()
  expect((await fixture.call('GET', '/get-session', { token: changedToken })).body).not.toBeNull()
})

test('a new password that conflicts with another change of the same user can be retried', async () => {
  const user = await fixture.signUp('meeting@example.com')
  const change = await whileWaiting(
    fixture,
    {
      // The locks of switching the second factor on: the user first, then the sessions.
      locked: ['select from auth.users where id = $1 for update', [user.userId]],
      meanwhile: [['delete from auth.sessions where user_id = $1', [user.userId]]],
    },
    () =>
      fixture.call('POST', '/change-password', {
        token: user.token,
        body: { currentPassword: PASSWORD, newPassword: 'another password', revokeOtherSessions: true },
      }),
  )
  expect([change.status, change.body.code]).toEqual([409, 'TRY_AGAIN'])
})

test('our cookie has the same attributes as the library’s', async () => {
  const { headers } = await fixture.call('POST', '/sign-up/email', {
    body: { email: 'cookie@example.com', password: PASSWORD, name: 'Ada' },
  })
  const theirs = headers.getSetCookie().find(cookie => cookie.startsWith(sessionCookieName(false)))
  const token = headers.get('set-auth-token') ?? ''
  expect(serializeSessionCookie(token, { isSecure: false, maxAgeSeconds: 604_800 })).toBe(theirs)
  expect(readSessionCookie(theirs?.split(';')[0], false)).toBe(encodeURIComponent(token))
})

test('over https the cookie is secure and prefixed', async () => {
  const auth = fixture.another({ config: { appUrl: 'https://rowhouse.example.com' } })
  const { headers } = await fixture.call('POST', '/sign-up/email', {
    auth,
    body: { email: 'https@example.com', password: PASSWORD, name: 'Ada' },
  })
  const token = headers.get('set-auth-token') ?? ''
  expect(headers.getSetCookie()).toContain(
    serializeSessionCookie(token, { isSecure: true, maxAgeSeconds: 604_800 }),
  )
})

test('reading the session prolongs one that has less than six days left', async () => {
  const { userId, token } = await fixture.signUp('slides@example.com')
  const fresh = await fixture.call('GET', '/get-session', { token })
  expect(fresh.headers.get('set-cookie')).toBeNull()
  await fixture.owner.query(
    `update auth.sessions set expires_at = now() + interval '5 days' where user_id = $1`,
    [userId],
  )
  const slid = await fixture.call('GET', '/get-session', { token })
  expect(slid.headers.get('set-auth-token')).toBe(token)
  const [session] = await sessionRows(userId)
  expect(session.expires_at.getTime()).toBeGreaterThan(Date.now() + 6.9 * 86_400_000)
})

test('a session that must not be remembered is never prolonged, whatever cookies its caller sends', async () => {
  const { userId, email } = await fixture.signUp('forgotten@example.com')
  await fixture.owner.query('delete from auth.sessions where user_id = $1', [userId])
  const { headers } = await fixture.call('POST', '/sign-in/email', {
    body: { email, password: PASSWORD, rememberMe: false },
  })
  const token = headers.get('set-auth-token') ?? ''
  expect((await fixture.call('GET', '/get-session', { token })).body.user.id).toBe(userId)
  const [session] = await sessionRows(userId)
  expect(session.slides).toBe(false)
  expect(session.expires_at.getTime()).toBeLessThan(Date.now() + 86_400_001)
})

test('signing out deletes the session', async () => {
  const { userId, token } = await fixture.signUp('out@example.com')
  expect((await fixture.call('POST', '/sign-out', { token })).status).toBe(200)
  expect(await sessionRows(userId)).toEqual([])
  expect((await fixture.call('GET', '/get-session', { token })).body).toBeNull()
})

test('an expired session signs nobody in', async () => {
  const { userId, token } = await fixture.signUp('expired@example.com')
  await fixture.owner.query(
    `update auth.sessions set expires_at = now() - interval '1 second' where user_id = $1`,
    [userId],
  )
  expect((await fixture.call('GET', '/get-session', { token })).body).toBeNull()
})

test('calls with a cookie and a foreign, missing or null origin change nothing', async () => {
  const { userId, token } = await fixture.signUp('origin@example.com')
  const cookie = `${sessionCookieName(false)}=${encodeURIComponent(token)}`
  for (const origin of [{ origin: 'https://evil.example.com' }, { origin: 'null' }, {}] as Record<
    string,
    string
  >[]) {
    for (const path of ['/sign-out', '/update-user']) {
      const { status } = await fixture.call('POST', path, {
        headers: { cookie, ...origin },
        body: { name: 'Mallory' },
      })
      expect(status).toBe(403)
    }
  }
  expect(await sessionRows(userId)).toHaveLength(1)
  for (const origin of [ORIGIN, 'https://app.example.com']) {
    const headers = { cookie, origin }
    expect((await fixture.call('POST', '/update-user', { headers, body: { name: 'Ada' } })).status).toBe(200)
  }
})

test('a form or plain text is refused before anything happens', async () => {
  for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
    const body = 'email=form@example.com&password=correct+horse&name=Ada'
    const { status } = await fixture.call('POST', '/sign-up/email', {
      headers: { 'content-type': type },
      body,
    })
    expect(status).toBe(415)
  }
})

test('a session knows the address of its peer, whatever its headers claim', async () => {
  const { userId, email } = await fixture.signUp('address@example.com')
  const forged = { 'x-forwarded-for': '203.0.113.9', 'x-rowhouse-client-address': '203.0.113.9' }
  const body = { email, password: PASSWORD }
  await fixture.call('POST', '/sign-in/email', { body, headers: forged, ipAddress: '198.51.100.7' })
  expect((await sessionRows(userId)).map(session => session.ip_address)).toEqual([
    '127.0.0.1',
    '198.51.100.7',
  ])
})
