import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, ORIGIN, PASSWORD } from './fixture.ts'
import { cookiesOf, enrol, forgetSteps, giveCode, givePassword } from './two-factor-fixture.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})

afterAll(() => fixture.close())

async function age(userId: string) {
  await fixture.owner.query(
    `update auth.sessions set second_factor_at = now() - interval '11 minutes', created_at = now() - interval '11 minutes'
     where user_id = $1`,
    [userId],
  )
}

async function rowOf(userId: string) {
  const { rows } = await fixture.owner.query(
    `select u.two_factor_enabled, t.* from auth.users u left join auth.two_factors t on t.user_id = u.id where u.id = $1`,
    [userId],
  )
  return rows[0]
}

test('switching it on needs the password, and changes nothing until a code is given', async () => {
  const { userId, token, email } = await fixture.signUp('enable@example.com')
  for (const body of [{}, { password: 'wrong horse battery' }]) {
    const refused = await fixture.call('POST', '/two-factor/enable', { token, body })
    expect(refused.status).toBe(400)
  }
  const begun = await fixture.call('POST', '/two-factor/enable', { token, body: { password: PASSWORD } })
  expect(begun.body.totpURI).toMatch(/^otpauth:\/\/totp\/Rowhouse:enable%40example\.com\?/)
  expect(begun.body.backupCodes).toHaveLength(10)
  expect((await rowOf(userId)).two_factor_enabled).toBe(false)
  expect((await givePassword(fixture, email)).headers.get('set-auth-token')).not.toBeNull()
  const wrong = await fixture.call('POST', '/two-factor/verify-totp', { token, body: { code: '000000' } })
  expect(wrong.status).toBe(401)
  expect((await rowOf(userId)).two_factor_enabled).toBe(false)
})

test('switching it on ends every session that was created without it', async () => {
  const user = await fixture.signUp('others@example.com')
  const other = (await givePassword(fixture, user.email)).headers.get('set-auth-token') ?? ''
  const enrolled = await enrol(fixture, user)
  for (const ended of [user.token, other]) {
    expect((await fixture.call('GET', '/get-session', { token: ended })).body).toBeNull()
  }
  expect((await fixture.call('GET', '/get-session', { token: enrolled.token })).body.user.id).toBe(
    enrolled.userId,
  )
})

test('a concurrent sign-in leaves no session without the factor', async () => {
  const user = await fixture.signUp('moment@example.com')
  const [, ...answers] = await Promise.all([
    enrol(fixture, user),
    ...Array.from({ length: 12 }, () => givePassword(fixture, user.email)),
  ])
  expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true)
  const { rows } = await fixture.owner.query(
    'select second_factor_at from auth.sessions where user_id = $1',
    [user.userId],
  )
  expect(rows).toHaveLength(1)
  expect(rows[0].second_factor_at).toBeInstanceOf(Date)
})

test('neither the secret nor a backup code is in the database in plain text', async () => {
  const { userId, secret, backupCodes } = await enrol(fixture, 'stored@example.com')
  const row = JSON.stringify(await rowOf(userId))
  for (const plain of [secret, Buffer.from(secret).toString('hex'), ...backupCodes]) {
    expect(row).not.toContain(plain)
    expect(fixture.logLines.join('\n')).not.toContain(plain)
  }
})

test('switching it off needs a code of the last ten minutes and the password', async () => {
  const { email, userId, token, code } = await enrol(fixture, 'disable@example.com')
  await age(userId)
  const disable = (password: string) =>
    fixture.call('POST', '/two-factor/disable', { token, body: { password } })
  expect([(await disable(PASSWORD)).status, (await rowOf(userId)).two_factor_enabled]).toEqual([403, true])
  const stepUp = await fixture.call('POST', '/two-factor/verify-totp', { token, body: { code: code() } })
  expect(stepUp.status).toBe(200)
  expect((await disable('wrong horse battery')).status).toBe(400)
  expect((await disable(PASSWORD)).status).toBe(200)
  expect(await rowOf(userId)).toMatchObject({ two_factor_enabled: false, secret: null })
  expect((await givePassword(fixture, email)).headers.get('set-auth-token')).not.toBeNull()
})

test('new backup codes need a code of the last ten minutes, and invalidate the old ones', async () => {
  const { email, userId, token, backupCodes, code } = await enrol(fixture, 'regenerate@example.com')
  const call = () =>
    fixture.call('POST', '/two-factor/generate-backup-codes', { token, body: { password: PASSWORD } })
  await age(userId)
  expect((await call()).status).toBe(403)
  await fixture.call('POST', '/two-factor/verify-totp', { token, body: { code: code() } })
  const fresh: string[] = (await call()).body.backupCodes
  expect(fresh).toHaveLength(10)
  const kind = 'backup-code'
  const old = await giveCode(fixture, await givePassword(fixture, email), {
    code: backupCodes[0] ?? '',
    kind,
  })
  expect(old.status).toBe(401)
  const next = await giveCode(fixture, await givePassword(fixture, email), { code: fresh[0] ?? '', kind })
  expect(next.status).toBe(200)
})

test('the endpoints that show the secret again, and codes by mail, are closed', async () => {
  const { token } = await enrol(fixture, 'closed@example.com')
  for (const path of ['get-totp-uri', 'send-otp', 'verify-otp', 'view-backup-codes', 'generate-totp']) {
    const { status } = await fixture.call('POST', `/two-factor/${path}`, {
      token,
      body: { password: PASSWORD },
    })
    expect(status).toBe(404)
  }
})

async function trust(email: string, user: { userId: string; code(): string }) {
  const verified = await giveCode(fixture, await givePassword(fixture, email), {
    code: user.code(),
    trustDevice: true,
  })
  expect(verified.status).toBe(200)
  await forgetSteps(fixture, user.userId)
  const device = verified.headers.getSetCookie().find(cookie => cookie.startsWith('rowhouse.trusted_device='))
  expect(device).toMatch(/Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/)
  return { cookie: device?.split(';')[0] ?? '', origin: ORIGIN }
}

test('a trusted device is not asked again, and its cookie works for no other user', async () => {
  const ada = await enrol(fixture, 'trusted@example.com')
  const bob = await enrol(fixture, 'distrusted@example.com')
  const headers = await trust(ada.email, ada)
  const again = await givePassword(fixture, ada.email, { headers })
  expect(again.headers.get('set-auth-token')).not.toBeNull()
  expect((await givePassword(fixture, bob.email, { headers })).body.twoFactorRedirect).toBe(true)
  const tampered = {
    ...headers,
    cookie: headers.cookie.replace(/=(.)/, (_, x) => `=${x === 'a' ? 'b' : 'a'}`),
  }
  expect((await givePassword(fixture, ada.email, { headers: tampered })).body.twoFactorRedirect).toBe(true)
  const { rows } = await fixture.owner.query(
    'select token_hash from auth.trusted_devices where user_id = $1',
    [ada.userId],
  )
  expect(JSON.stringify(rows)).not.toContain(headers.cookie.split('=')[1]?.split('.')[0])
  await fixture.owner.query(`update auth.trusted_devices set expires_at = now()`)
  expect((await givePassword(fixture, ada.email, { headers })).body.twoFactorRedirect).toBe(true)
})

test('a session from a trusted device is not a recent proof of the factor', async () => {
  const user = await enrol(fixture, 'stale-device@example.com')
  const headers = await trust(user.email, user)
  await fixture.owner.query(
    `update auth.trusted_devices set second_factor_at = now() - interval '1 day' where user_id = $1`,
    [user.userId],
  )
  const token = (await givePassword(fixture, user.email, { headers })).headers.get('set-auth-token') ?? ''
  const refused = await fixture.call('POST', '/two-factor/disable', { token, body: { password: PASSWORD } })
  expect([refused.status, refused.body.code]).toEqual([403, 'SESSION_NOT_FRESH'])
})

test('a new password ends the trust, and so does switching the factor off', async () => {
  const user = await enrol(fixture, 'untrust@example.com')
  const headers = await trust(user.email, user)
  await fixture.call('POST', '/change-password', {
    token: user.token,
    body: { currentPassword: PASSWORD, newPassword: 'another password' },
  })
  const answer = await givePassword(fixture, user.email, { headers, body: { password: 'another password' } })
  expect(answer.body.twoFactorRedirect).toBe(true)
  expect(cookiesOf(answer)).not.toContain('session_token')

  const other = await enrol(fixture, 'untrust-off@example.com')
  await trust(other.email, other)
  await fixture.call('POST', '/two-factor/disable', { token: other.token, body: { password: PASSWORD } })
  const { rows } = await fixture.owner.query('select from auth.trusted_devices where user_id = $1', [
    other.userId,
  ])
  expect(rows).toEqual([])
})

test('calls from a foreign origin with cookies change nothing', async () => {
  const { userId, email, code } = await enrol(fixture, 'foreign@example.com')
  const cookie = cookiesOf(await givePassword(fixture, email))
  const { status } = await fixture.call('POST', '/two-factor/verify-totp', {
    headers: { cookie, origin: 'https://evil.example.com' },
    body: { code: code() },
  })
  expect(status).toBe(403)
  expect((await rowOf(userId)).two_factor_enabled).toBe(true)
})
