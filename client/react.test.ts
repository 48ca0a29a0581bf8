import { QueryObserver } from '@tanstack/react-query'
import { createTRPCOptionsProxy } from '@trpc/tanstack-react-query'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AppRouter } from '#server/rpc/router.ts'
import { createClient } from './index.ts'
import { createQueryClient } from './react.tsx'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Runs a query against these answers in order; the last one repeats. */
async function query(...answers: (() => Response | Promise<Response>)[]) {
  let calls = 0
  const client = createClient({
    url: 'http://localhost:3000',
    fetch: async () => {
      const answer = answers[Math.min(calls++, answers.length - 1)]
      if (!answer) throw new Error('there is no answer')
      return answer()
    },
  })
  const queryClient = createQueryClient()
  const rowhouse = createTRPCOptionsProxy<AppRouter>({ client, queryClient })
  const observer = new QueryObserver(queryClient, rowhouse.usage.today.queryOptions())
  const unsubscribe = observer.subscribe(() => {})
  await vi.advanceTimersByTimeAsync(20_000)
  const { data, error } = observer.getCurrentResult()
  unsubscribe()
  return { data, error, calls }
}

const answered = () => Response.json([{ result: { data: { json: { tasks: { used: 1, limit: 2 } } } } }])
const refused = (code: string, httpStatus: number) => () =>
  Response.json([{ error: { json: { message: code, code: -32_000, data: { code, httpStatus } } } }], {
    status: httpStatus,
  })

test('a refused query is not retried', async () => {
  for (const [code, status] of [
    ['UNAUTHORIZED', 401],
    ['NOT_FOUND', 404],
    ['INTERNAL_SERVER_ERROR', 500],
  ] as const) {
    const { calls, error } = await query(refused(code, status), answered)
    expect({ calls, code: error?.data?.code }).toEqual({ calls: 1, code })
  }
})

test('a query that failed for a passing reason is retried', async () => {
  const unreachable = () => Promise.reject(new TypeError('fetch failed'))
  const { calls, data, error } = await query(unreachable, refused('SERVICE_UNAVAILABLE', 503), answered)
  expect(error).toBeNull()
  expect(data?.tasks.used).toBe(1)
  expect(calls).toBe(3)
})

test('retries are limited', async () => {
  const { calls, error } = await query(() => Promise.reject(new TypeError('fetch failed')))
  expect(calls).toBe(4)
  expect(error).toMatchObject({ name: 'RowhouseError', reason: 'unreachable' })
})
