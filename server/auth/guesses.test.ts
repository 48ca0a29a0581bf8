// Tests that guesses at passwords and codes do not lock out the owner. A window allows only four sign-ins
// here, to keep the tests short.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, type CallInput, createAuthFixture, PASSWORD } from './fixture.ts'
import { cookiesOf, enrol, giveCode, givePassword } from './two-factor-fixture.ts'

const WRONG = 'not the password'
const NEW = 'another password altogether'

let fixture: AuthFixture
let nextAddress = 0

beforeAll(async () => {
  fixture = await createAuthFixture({
    rateLimits: {
      accountSignIn: { limit: 4, windowSeconds: 900 },
      secondFactor: { limit: 3, windowSeconds: 900 },
      accountMail: { limit: 3, windowSeconds: 900 },
    },
  })
})

afterAll(() => fixture.close())

function freshAddress(): string {
  nextAddress++
  return `198.18.${Math.floor(nextAddress / 250)}.${nextAddress % 250}`
}

function signIn(email: string, password: string, input: CallInput = {}) {
  const body = { email, password }
  return fixture.call('POST', '/sign-in/email', { ipAddress: freshAddress(), ...input, body })
}

/** Guesses from many addresses until the account's limit is used up. */
async function exhaust(email: string) {
  for (let guess = 0; guess < 4; guess++) await signIn(email, WRONG)
  expect((await signIn(email, WRONG)).status).toBe(429)
}

/** Ends the waits of all networks. */
async function waitForTurns() {
  await fixture.owner.query(
    `update app.rate_limits set expires_at = now() - interval '1 second' where key like 'auth:turn:%'`,
  )
}

function device(cookies: string): CallInput['headers'] {
  return { cookie: cookies, origin: 'http://localhost:3000' }
}

test('guesses of strangers do not lock the owner out of a known browser', async () => {
  const { email } = await fixture.signUp('known@example.com')
  const cookies = cookiesOf(await signIn(email, PASSWORD))
  for (let round = 0; round < 2; round++) {
    for (let guess = 0; guess < 5; guess++) await signIn(email, WRONG)
    expect((await signIn(email, PASSWORD)).status).toBe(429)
    expect((await signIn(email, PASSWORD, { headers: device(cookies) })).status).toBe(200)
  }
})

test('a known browser has no more guesses than others, and only for that account', async () => {
  const { email } = await fixture.signUp('thief@example.com')
  const other = await fixture.signUp('victim@example.com')
  const headers = device(cookiesOf(await signIn(email, PASSWORD)))
  await exhaust(other.email)
  expect((await signIn(other.email, PASSWORD, { headers })).status).toBe(429)
  const statuses: number[] = []
  for (let guess = 0; guess < 6; guess++) statuses.push((await signIn(email, WRONG, { headers })).status)
  expect(statuses).toEqual([401, 401, 401, 401, 429, 429])
})

test('a cookie with another signature, or for an earlier password, makes no device known', async () => {
  const { email, token } = await fixture.signUp('forged@example.com')
  const cookies = cookiesOf(await signIn(email, PASSWORD))
  const known = cookies.split('; ').find(cookie => cookie.startsWith('rowhouse.known_devices=')) ?? ''
  const forged = known.replace(/=(.{30})./, (_, start) => `=${start}${known[32] === 'A' ? 'B' : 'A'}`)
  const changed = await fixture.call('POST', '/change-password', {
    token,
    body: { currentPassword: PASSWORD, newPassword: NEW },
  })
  await exhaust(email)
  for (const cookie of [forged, known]) {
    expect((await signIn(email, NEW, { headers: device(cookie) })).status).toBe(429)
  }
  expect((await signIn(email, NEW, { headers: device(cookiesOf(changed)) })).status).toBe(200)
})

test('the cookie is sent only to the sign-in, and no script can read it', async () => {
  const { email } = await fixture.signUp('cookie@example.com')
  const cookie = (await signIn(email, PASSWORD)).headers
    .getSetCookie()
    .find(value => value.startsWith('rowhouse.known_devices='))
  expect(cookie).toMatch(/; Max-Age=\d+; Path=\/api\/auth; HttpOnly; SameSite=Lax$/)
  expect(decodeURIComponent(cookie ?? '')).not.toContain(email)
})

test('in an unknown browser the owner waits once, however many guesses others make', async () => {
  const { email } = await fixture.signUp('patient@example.com')
  await exhaust(email)
  const owner = { ipAddress: '203.0.113.9' }
  const refused = await signIn(email, PASSWORD, owner)
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(30)
  for (let guess = 0; guess < 5; guess++) expect((await signIn(email, WRONG)).status).toBe(429)
  const again = await signIn(email, PASSWORD, owner)
  expect(Number(again.headers.get('retry-after'))).toBeLessThanOrEqual(30)
  await waitForTurns()
  expect((await signIn(email, PASSWORD, owner)).status).toBe(200)
})

test('a network that continues to guess waits twice as long each time, up to a quarter of an hour', async () => {
  const { email } = await fixture.signUp('stubborn@example.com')
  await exhaust(email)
  const guesser = { ipAddress: '203.0.113.66' }
  await signIn(email, WRONG, guesser)
  const waits: number[] = []
  for (let turn = 0; turn < 7; turn++) {
    await waitForTurns()
    expect((await signIn(email, WRONG, guesser)).status).toBe(401)
    waits.push(Number((await signIn(email, WRONG, guesser)).headers.get('retry-after')))
  }
  const expected = [60, 120, 240, 480, 900, 900, 900]
  waits.forEach((wait, turn) => {
    const full = expected[turn] ?? 0
    expect(wait).toBeGreaterThan(full * 0.5)
    expect(wait).toBeLessThanOrEqual(full)
  })
})

test('of many concurrent guesses of one network, one is checked', async () => {
  const { email } = await fixture.signUp('at-once@example.com')
  await exhaust(email)
  const guesser = { ipAddress: '203.0.113.67' }
  await signIn(email, WRONG, guesser)
  await waitForTurns()
  const other = fixture.another()
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      signIn(email, WRONG, index % 2 ? { ...guesser, auth: other } : guesser),
    ),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([401, 429, 429, 429, 429, 429])
})

test('a link by mail works in any browser, and makes it known', async () => {
  const { email } = await fixture.signUp('by-mail@example.com')
  await fixture.smtp.take(email)
  await exhaust(email)
  await fixture.call('POST', '/request-password-reset', { body: { email }, ipAddress: freshAddress() })
  const token = new URL((await fixture.smtp.take(email)).link ?? '').pathname.split('/').at(-1)
  const reset = await fixture.call('POST', '/reset-password', { body: { token, newPassword: NEW } })
  expect(reset.status).toBe(200)
  expect((await signIn(email, NEW)).status).toBe(429)
  expect((await signIn(email, NEW, { headers: device(cookiesOf(reset)) })).status).toBe(200)
})

test('sign-ups and confirmations requested by strangers do not use up the password resets of an address', async () => {
  const { email } = await fixture.signUp('mailed@example.com')
  for (let index = 0; index < 5; index++) {
    const ipAddress = freshAddress()
    await fixture.call('POST', '/sign-up/email', { body: { email, password: WRONG, name: 'X' }, ipAddress })
    await fixture.call('POST', '/send-verification-email', { body: { email }, ipAddress })
  }
  const asked = await fixture.call('POST', '/request-password-reset', { body: { email } })
  expect(asked.status).toBe(200)
})

const PASSWORD_ENDPOINTS = [
  ['/change-password', { currentPassword: WRONG, newPassword: NEW }],
  ['/two-factor/enable', { password: WRONG }],
  ['/two-factor/disable', { password: WRONG }],
  ['/two-factor/generate-backup-codes', { password: WRONG }],
] as const

test.each(PASSWORD_ENDPOINTS)(
  'guesses at %s are counted per user, over addresses and processes',
  async (path, body) => {
    const { token } = await fixture.signUp(`by-user${path.replaceAll('/', '-')}@example.com`)
    const other = fixture.another()
    const statuses: number[] = []
    for (let guess = 0; guess < 6; guess++) {
      const auth = guess % 2 ? other : fixture.auth
      statuses.push(
        (await fixture.call('POST', path, { token, auth, body, ipAddress: freshAddress() })).status,
      )
    }
    expect(statuses.slice(4)).toEqual([429, 429])
    expect(statuses.slice(0, 4)).not.toContain(429)
  },
)

test('all endpoints that ask a signed-in user for the password share one count', async () => {
  const { token, userId } = await fixture.signUp('all-together@example.com')
  for (const [path, body] of PASSWORD_ENDPOINTS) await fixture.call('POST', path, { token, body })
  await expect(fixture.auth.verifyPassword(userId, PASSWORD)).rejects.toThrow(/too many attempts/)
  const body = { currentPassword: PASSWORD, newPassword: NEW }
  expect((await fixture.call('POST', '/change-password', { token, body })).status).toBe(429)
})

test('a stranger with the password who guesses codes does not lock the owner out of a known browser', async () => {
  const user = await enrol(fixture, 'codes@example.com')
  await fixture.owner.query(`delete from app.rate_limits where key like 'auth:secondFactor:%'`)
  const known = await giveCode(fixture, await givePassword(fixture, user.email), { code: user.code() })
  expect(known.status).toBe(200)
  const cookies = cookiesOf(known)
  const thief = await givePassword(fixture, user.email)
  for (let guess = 0; guess < 4; guess++) await giveCode(fixture, thief, { code: '000000' })
  expect((await giveCode(fixture, thief, { code: user.code(30) })).status).toBe(429)
  const challenge = await givePassword(fixture, user.email, { headers: device(cookies) ?? {} })
  const code = await fixture.call('POST', '/two-factor/verify-totp', {
    headers: { ...device(`${cookies}; ${cookiesOf(challenge)}`) },
    body: { code: user.code(30) },
  })
  expect(code.status).toBe(200)
})

test('the counters and the cookie contain no mail address', async () => {
  const { rows } = await fixture.owner.query('select key from app.rate_limits')
  for (const { key } of rows) expect(key).not.toContain('@')
})
