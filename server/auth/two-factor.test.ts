import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, type AuthFixture, createAuthFixture, ORIGIN, PASSWORD } from './fixture.ts'
import { signSessionToken, storedSessionToken } from './session-token.ts'
import { cookiesOf, enrol, forgetSteps, giveCode, givePassword } from './two-factor-fixture.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})

afterAll(() => fixture.close())

async function sessionsOf(userId: string) {
  const { rows } = await fixture.owner.query('select * from auth.sessions where user_id = $1 order by id', [
    userId,
  ])
  return rows
}

async function endSessions(userId: string) {
  await fixture.owner.query('delete from auth.sessions where user_id = $1', [userId])
}

function expectNoSession(answer: Answer) {
  expect(answer.headers.get('set-auth-token')).toBeNull()
  expect(answer.headers.getSetCookie().join('\n')).not.toContain('session_token')
  expect(answer.text).not.toMatch(/"token":"|"session"/)
}

test('a password alone is answered with a challenge, and creates no session', async () => {
  const { email, userId } = await enrol(fixture, 'challenge@example.com')
  await endSessions(userId)
  const answer = await givePassword(fixture, email)
  expect(answer.status).toBe(200)
  expect(answer.body).toEqual({
    code: 'two_factor_required',
    twoFactorRedirect: true,
    twoFactorMethods: ['totp', 'backup-code'],
  })
  expectNoSession(answer)
  expect(await sessionsOf(userId)).toEqual([])
  const challenge = answer.headers.get('set-two-factor-token') ?? ''
  expect((await fixture.call('GET', '/get-session', { token: challenge })).body).toBeNull()
  expect((await fixture.call('GET', '/list-accounts', { token: challenge })).status).toBe(401)
})

test('the answer to a wrong password does not reveal the second factor', async () => {
  const { email } = await enrol(fixture, 'wrong-password@example.com')
  const wrong = { body: { password: 'wrong horse battery' } }
  const [known, unknown] = [
    await givePassword(fixture, email, wrong),
    await givePassword(fixture, 'nobody@example.com', wrong),
  ]
  expect([known.status, known.text]).toEqual([unknown.status, unknown.text])
})

test('the code then creates the session, with a header or a cookie', async () => {
  const { email, userId, code } = await enrol(fixture, 'code@example.com')
  await endSessions(userId)
  const byHeader = await giveCode(fixture, await givePassword(fixture, email), { code: code() })
  expect(byHeader.status).toBe(200)
  await forgetSteps(fixture, userId)
  const byCookie = await fixture.call('POST', '/two-factor/verify-totp', {
    headers: { cookie: cookiesOf(await givePassword(fixture, email)), origin: ORIGIN },
    body: { code: code() },
  })
  expect(byCookie.status).toBe(200)
  for (const answer of [byHeader, byCookie]) {
    const token = answer.headers.get('set-auth-token') ?? ''
    expect((await fixture.call('GET', '/get-session', { token })).body.user.id).toBe(userId)
  }
  const sessions = await sessionsOf(userId)
  expect(sessions).toHaveLength(2)
  for (const session of sessions) expect(session.second_factor_at).toBeInstanceOf(Date)
})

test('a code works once over all sign-ins', async () => {
  const { email, userId, code } = await enrol(fixture, 'reused@example.com')
  const current = code()
  expect((await giveCode(fixture, await givePassword(fixture, email), { code: current })).status).toBe(200)
  const before = await sessionsOf(userId)
  const again = await giveCode(fixture, await givePassword(fixture, email), { code: current })
  expect([again.status, again.body.code]).toEqual([401, 'INVALID_CODE'])
  expectNoSession(again)
  // An older unused code is spent as well.
  const older = await giveCode(fixture, await givePassword(fixture, email), { code: code(-30) })
  expect(older.status).toBe(401)
  expect(await sessionsOf(userId)).toHaveLength(before.length)
})

test('of twenty sign-ins with one code at once, one succeeds', async () => {
  const { email, userId, code } = await enrol(fixture, 'race@example.com')
  await endSessions(userId)
  const challenges = await Promise.all(Array.from({ length: 20 }, () => givePassword(fixture, email)))
  const current = code()
  const answers = await Promise.all(
    challenges.map(challenge => giveCode(fixture, challenge, { code: current })),
  )
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(19)
  expect(await sessionsOf(userId)).toHaveLength(1)
})

test('a challenge works once', async () => {
  const { email, userId, code, backupCodes } = await enrol(fixture, 'once@example.com')
  const challenge = await givePassword(fixture, email)
  expect((await giveCode(fixture, challenge, { code: code() })).status).toBe(200)
  await forgetSteps(fixture, userId)
  expect((await giveCode(fixture, challenge, { code: code() })).status).toBe(401)
  const byBackup = await giveCode(fixture, challenge, { code: backupCodes[0] ?? '', kind: 'backup-code' })
  expect(byBackup.status).toBe(401)
})

test('a clock that is off by seconds is accepted; by minutes or an hour, it is not', async () => {
  const { email, userId, code } = await enrol(fixture, 'clock@example.com')
  for (const seconds of [-3_600, -120, 120, 3_600]) {
    const answer = await giveCode(fixture, await givePassword(fixture, email), { code: code(seconds) })
    expect([seconds, answer.status]).toEqual([seconds, 401])
  }
  await forgetSteps(fixture, userId)
  expect((await giveCode(fixture, await givePassword(fixture, email), { code: code() })).status).toBe(200)
})

test('a backup code works once, also in concurrent sign-ins', async () => {
  const { email, userId, backupCodes } = await enrol(fixture, 'backup@example.com')
  await endSessions(userId)
  const [first = '', second = ''] = backupCodes
  const kind = 'backup-code'
  expect((await giveCode(fixture, await givePassword(fixture, email), { code: first, kind })).status).toBe(
    200,
  )
  expect((await giveCode(fixture, await givePassword(fixture, email), { code: first, kind })).status).toBe(
    401,
  )
  const challenges = await Promise.all(Array.from({ length: 10 }, () => givePassword(fixture, email)))
  const answers = await Promise.all(
    challenges.map(challenge => giveCode(fixture, challenge, { code: second, kind })),
  )
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(await sessionsOf(userId)).toHaveLength(2)
})

test('codes are counted per user, over sign-ins, processes and sessions', async () => {
  const limits = { rateLimits: { secondFactor: { limit: 4, windowSeconds: 900 } } }
  const processes = [fixture.another(limits), fixture.another(limits)]
  const { email, userId, token, code, backupCodes } = await enrol(fixture, 'attempts@example.com')
  await fixture.owner.query('delete from app.rate_limits')
  for (const [index, wrong] of ['000000', '111111', '222222', 'abcde-fghij'].entries()) {
    const auth = processes[index % 2]
    const challenge = await givePassword(fixture, email, { ...(auth && { auth }) })
    const kind = wrong.length === 6 ? 'totp' : 'backup-code'
    expect((await giveCode(fixture, challenge, { code: wrong, kind, ...(auth && { auth }) })).status).toBe(
      401,
    )
  }
  const [auth] = processes
  const challenge = await givePassword(fixture, email, { ...(auth && { auth }) })
  const before = await sessionsOf(userId)
  const right = await giveCode(fixture, challenge, { code: code(), ...(auth && { auth }) })
  const backup = await giveCode(fixture, challenge, {
    code: backupCodes[0] ?? '',
    kind: 'backup-code',
    ...(auth && { auth }),
  })
  const inSession = await fixture.call('POST', '/two-factor/verify-totp', {
    token,
    body: { code: code() },
    ...(auth && { auth }),
  })
  for (const answer of [right, backup, inSession]) {
    expect(answer.status).toBe(429)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expectNoSession(answer)
  }
  expect(await sessionsOf(userId)).toHaveLength(before.length)
})

test('an invented, wrongly signed, foreign or expired challenge is refused', async () => {
  const ada = await enrol(fixture, 'challenged-ada@example.com')
  const bob = await enrol(fixture, 'challenged-bob@example.com')
  const foreign = await givePassword(fixture, bob.email)
  const expired = await givePassword(fixture, ada.email)
  await fixture.owner.query(`update auth.verifications set expires_at = now() - interval '1 second'`)
  const fresh = await givePassword(fixture, bob.email)
  const forged = [
    'made-up',
    signSessionToken('2fa-made-up', 'another secret'),
    signSessionToken('2fa-made-up', 'a secret of the test suite, long enough to be one: 8c1f0d'),
    ada.token,
    expired.headers.get('set-two-factor-token') ?? '',
    foreign.headers.get('set-two-factor-token') ?? '',
    fresh.headers.get('set-two-factor-token') ?? '',
  ]
  for (const value of forged) {
    const answer = await fixture.call('POST', '/two-factor/verify-totp', {
      headers: { 'x-two-factor-token': value },
      body: { code: ada.code() },
    })
    expect(answer.status).toBe(401)
    expectNoSession(answer)
  }
})

test('the table refuses every session without the factor', async () => {
  const { userId } = await enrol(fixture, 'table@example.com')
  const insert = `insert into auth.sessions (user_id, token, expires_at) values ($1, $2, now() + interval '1 day')`
  for (const pool of [fixture.owner, fixture.authPool]) {
    await expect(pool.query(insert, [userId, storedSessionToken('by hand')])).rejects.toMatchObject({
      constraint: 'sessions_second_factor_check',
    })
  }
})

test('a password reset and a confirmed address sign nobody in without the factor', async () => {
  const { email, userId } = await enrol(fixture, 'reset@example.com')
  const confirm = (await fixture.smtp.take(email)).link ?? ''
  const verified = await fixture.call('GET', confirm.slice(confirm.indexOf('/verify-email')))
  expectNoSession(verified)
  await fixture.call('POST', '/request-password-reset', { body: { email } })
  const resetToken = (await fixture.smtp.take(email)).link?.split('/reset-password/')[1]?.split('?')[0]
  const reset = await fixture.call('POST', '/reset-password', {
    body: { token: resetToken, newPassword: 'another password' },
  })
  expect(reset.status).toBe(200)
  expectNoSession(reset)
  expect(await sessionsOf(userId)).toEqual([])
  const answer = await givePassword(fixture, email, { body: { password: 'another password' } })
  expect(answer.body.twoFactorRedirect).toBe(true)
  expectNoSession(answer)
})

test('changing the password and ending the other sessions keeps the caller signed in', async () => {
  const { userId, token } = await enrol(fixture, 'change@example.com')
  const changed = await fixture.call('POST', '/change-password', {
    token,
    body: { currentPassword: PASSWORD, newPassword: 'another password', revokeOtherSessions: true },
  })
  expect(changed.status).toBe(200)
  const [session, ...others] = await sessionsOf(userId)
  expect(others).toEqual([])
  expect(session.second_factor_at).toBeInstanceOf(Date)
})

test('a session that must not be remembered stays so after the challenge', async () => {
  const { email, userId, code } = await enrol(fixture, 'forget@example.com')
  await endSessions(userId)
  const challenge = await givePassword(fixture, email, { body: { rememberMe: false } })
  expect((await giveCode(fixture, challenge, { code: code() })).status).toBe(200)
  const [session] = await sessionsOf(userId)
  expect(session.slides).toBe(false)
})

test('over https the cookies of challenge and device are secure, prefixed and accepted', async () => {
  const origin = 'https://rowhouse.example.com'
  const auth = fixture.another({ config: { appUrl: origin } })
  const { email, code } = await enrol(fixture, 'https@example.com')
  const challenge = await givePassword(fixture, email, { auth })
  expect(challenge.headers.getSetCookie()).toEqual([
    expect.stringMatching(
      /^__Secure-better-auth\.two_factor=[^;]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    ),
  ])
  const verified = await fixture.call('POST', '/two-factor/verify-totp', {
    auth,
    headers: { cookie: cookiesOf(challenge), origin },
    body: { code: code(), trustDevice: true },
  })
  expect(verified.status).toBe(200)
  const headers = { cookie: cookiesOf(verified), origin }
  expect(headers.cookie).toContain('__Secure-rowhouse.trusted_device=')
  const again = await givePassword(fixture, email, { auth, headers })
  expect(again.headers.get('set-auth-token')).not.toBeNull()
})
