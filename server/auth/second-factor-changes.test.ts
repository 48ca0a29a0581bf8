import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthFixture, createAuthFixture } from './fixture.ts'

let fixture: AuthFixture

beforeAll(async () => {
  fixture = await createAuthFixture()
})
afterAll(() => fixture.close())

test('a user without a password can switch the factor on within ten minutes of signing in', async () => {
  const { userId, token } = await fixture.signUp('no-password@example.com')
  await fixture.owner.query('update auth.accounts set password = null where user_id = $1', [userId])
  await fixture.owner.query(
    `update auth.sessions set created_at = now() - interval '11 minutes' where user_id = $1`,
    [userId],
  )
  const { status, body } = await fixture.call('POST', '/two-factor/enable', { token, body: {} })
  expect([status, body.code]).toEqual([403, 'SESSION_NOT_FRESH'])
  const { rows } = await fixture.owner.query('select from auth.two_factors where user_id = $1', [userId])
  expect(rows).toEqual([])
})
