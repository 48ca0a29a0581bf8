import { expect, it } from 'vitest'
import { signIn } from './auth.ts'

it('a sign-in that is refused because of load says so, and when to retry', async () => {
  const refused = async () =>
    Response.json(
      { code: 'SERVICE_UNAVAILABLE', message: 'too many sign-ins at once', reason: 'overloaded' },
      { status: 503, headers: { 'retry-after': '7' } },
    )
  const startedAt = Date.now()
  const error = await signIn({
    url: 'http://localhost:1',
    email: 'ada@example.com',
    password: 'x',
    fetch: refused,
  }).catch(thrown => thrown)
  expect(error).toMatchObject({ code: 'SERVICE_UNAVAILABLE', reason: 'overloaded' })
  expect(error.retryAt.getTime()).toBeGreaterThanOrEqual(startedAt + 7_000)
})
