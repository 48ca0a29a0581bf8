import { expect, test } from 'vitest'
import { answers, flood, serveHttp } from '#server/testing/mcp/http-server.ts'
import { TEST_IDENTITY as identity } from '#server/testing/providers/identity.ts'
import { callUpstream, retryAt } from './upstream.ts'

const unreachable = { name: 'ProviderError', kind: 'unreachable' }
const headers = { authorization: 'Bearer xoxb-secret' }

test.each([301, 302, 303, 307, 308])(
  'a redirect (%i) is not followed, so the token reaches no other server',
  async status => {
    await using elsewhere = await serveHttp(answers(200, { 'content-type': 'application/json' }, '{}'))
    await using provider = await serveHttp(answers(status, { location: elsewhere.url }, ''))
    const body = new URLSearchParams({ refresh_token: 'xoxe-secret' })
    for (const request of [{ method: 'GET' } as const, { method: 'POST', body } as const]) {
      const call = callUpstream(identity, 'slack', { ...request, url: provider.url, headers })
      await expect(call).rejects.toMatchObject(unreachable)
    }
    expect(provider.requests).toEqual(['GET /mcp', 'POST /mcp'])
    expect(elsewhere.requests).toEqual([])
  },
)

test('an endless answer is cut off at the size limit', async () => {
  const sent = { bytes: 0 }
  await using provider = await serveHttp(flood('application/json', '['.repeat(65_536), sent))
  const call = callUpstream(identity, 'slack', { method: 'GET', url: provider.url, headers })
  await expect(call).rejects.toMatchObject({
    ...unreachable,
    cause: { message: 'the response is larger than 8388608 bytes' },
  })
  expect(sent.bytes).toBeLessThan(64 * 1024 * 1024)
})

const now = Date.parse('2026-01-01T00:00:00Z')

test.each([
  ['30', 30_000],
  ['0', 0],
  ['Thu, 01 Jan 2026 00:02:00 GMT', 120_000],
  // In the past, and further in the future than is plausible.
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['999999999', 86_400_000],
  ['soon', 60_000],
  [null, 60_000],
])('with "retry-after: %s", it is asked again in %i ms', (header, waitMs) => {
  const given = new Headers(header === null ? {} : { 'retry-after': header })
  expect(retryAt(given, now).getTime() - now).toBe(waitMs)
})
