import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture, PASSWORD } from './fixture.ts'
import { clientKey, defaultRateLimits } from './rate-limits.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture({
    rateLimits: { signIn: { limit: 5, windowSeconds: 60 }, accountSignIn: { limit: 8, windowSeconds: 60 } },
  })
})

afterAll(() => fixture.close())

function signIn(email: string, ipAddress: string, auth = fixture.auth) {
  const body = { email, password: 'wrong password' }
  // Any client can send a forwarded address.
  const headers = { 'x-forwarded-for': `203.0.113.${Math.floor(Math.random() * 255)}` }
  return fixture.call('POST', '/sign-in/email', { body, headers, ipAddress, auth })
}

test('two processes and concurrent calls share the limit of an address', async () => {
  const other = fixture.another()
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      signIn(`nobody-${index}@example.com`, '127.0.0.1', index % 2 ? other : fixture.auth),
    ),
  )
  expect(answers.map(answer => answer.status).sort()).toEqual([...Array(5).fill(401), ...Array(5).fill(429)])
  const refused = answers.find(answer => answer.status === 429)
  expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(refused?.headers.get('x-retry-after')).toBe(refused?.headers.get('retry-after'))
  expect(refused?.body.message).toBe('Too many requests. Please try again later.')
  expect((await signIn('nobody@example.com', '198.51.100.7')).status).toBe(401)
})

test('new client addresses do not raise the limit for one account', async () => {
  const { email } = await fixture.signUp('guessed@example.com')
  const spellings = [email, email.toUpperCase(), ` ${email}`]
  const statuses: number[] = []
  for (let index = 0; index < 12; index++) {
    statuses.push((await signIn(spellings[index % 3] ?? email, `198.51.100.${index + 20}`)).status)
  }
  expect(statuses.filter(status => status === 429)).toHaveLength(4)
  const right = await fixture.call('POST', '/sign-in/email', {
    body: { email, password: PASSWORD },
    ipAddress: '192.0.2.1',
  })
  expect(right.status).toBe(429)
})

test('the counters contain no mail address', async () => {
  const { rows } = await fixture.owner.query('select key from app.rate_limits')
  expect(rows.length).toBeGreaterThan(0)
  for (const { key } of rows) expect(key).not.toContain('@')
})

test('addresses of one IPv6 network count as one client', () => {
  expect(clientKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
  expect(clientKey('2001:DB8:1:2::9')).toBe('2001:db8:1:2::/64')
  expect(clientKey('2001:db8::1')).toBe('2001:db8:0:0::/64')
  expect(clientKey('::1')).toBe('0:0:0:0::/64')
  expect(clientKey('::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(clientKey('192.0.2.1')).toBe('192.0.2.1')
})

test('production has strict limits, every other environment generous ones', () => {
  expect(defaultRateLimits('production').signUp.limit).toBeLessThan(100)
  expect(defaultRateLimits('test').signUp.limit).toBeGreaterThan(1_000)
})
