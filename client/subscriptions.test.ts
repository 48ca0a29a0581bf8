import { createTRPCClient, type TRPCLink } from '@trpc/client'
import { initTRPC, TRPCError, tracked } from '@trpc/server'
import superjson from 'superjson'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import type { App } from '#server/app/app.ts'
import type { HttpContext } from '#server/http/trpc/context-input.ts'
import { connect } from './connection.ts'
import { isRowhouseError, type RowhouseError } from './errors.ts'
import { createLinks } from './links.ts'
import { buildAppAround } from './server-fixture.ts'

// A test router, whose subscription the test controls.
interface Visit {
  readonly url: string
  readonly authorization: string | undefined
  readonly lastEventId: string | undefined
}
const visits: Visit[] = []
let app: App | undefined

interface StreamContext extends HttpContext {
  readonly authorization: string | undefined
}

const t = initTRPC.context<StreamContext>().create({
  transformer: superjson,
  errorFormatter: ({ shape, error }) => ({
    ...shape,
    data: { code: shape.data.code, httpStatus: shape.data.httpStatus, reason: error.message },
  }),
})
const router = t.router({
  count: t.procedure
    .input(z.object({ to: z.number(), breakAfter: z.number(), lastEventId: z.string().optional() }))
    .subscription(async function* ({ input, ctx }) {
      if (ctx.authorization !== 'Bearer secret')
        throw new TRPCError({ code: 'UNAUTHORIZED', message: 'unauthenticated' })
      const first = Number(input.lastEventId ?? 0) + 1
      for (let value = first; value <= input.to; value++) {
        yield tracked(String(value), { value, at: new Date(value) })
        if (value === input.breakAfter) {
          await new Promise(resolve => setTimeout(resolve, 20))
          app?.fastify.server.closeAllConnections()
        }
      }
    }),
})

afterEach(() => app?.drain())

async function start(token: string) {
  visits.length = 0
  app = buildAppAround(router, ({ headers }): StreamContext => ({ authorization: headers.authorization }))
  const url = await app.listen()
  const links = createLinks(
    connect({
      url,
      token,
      fetch: (url, init) => {
        const headers = new Headers(init.headers)
        const authorization = headers.get('authorization') ?? undefined
        visits.push({ url, authorization, lastEventId: headers.get('last-event-id') ?? undefined })
        return fetch(url, init)
      },
    }),
  )
  return createTRPCClient<typeof router>({ links: links as unknown as TRPCLink<typeof router>[] })
}

type Client = Awaited<ReturnType<typeof start>>

/** Subscribes, and resolves when the subscription ends. */
function follow(client: Client, input: { to: number; breakAfter: number }) {
  const values: number[] = []
  const interruptions: unknown[] = []
  return new Promise<{ values: number[]; interruptions: unknown[]; failure?: RowhouseError }>(
    (resolve, reject) => {
      client.count.subscribe(input, {
        onData: ({ data }) => {
          expect(data.at).toEqual(new Date(data.value))
          values.push(data.value)
        },
        onConnectionStateChange: ({ state, error }) => {
          if (state === 'connecting' && error) interruptions.push(error)
        },
        onComplete: () => resolve({ values, interruptions }),
        onError: failure =>
          isRowhouseError(failure) ? resolve({ values, interruptions, failure }) : reject(failure),
      })
    },
  )
}

test('a subscription ends when the server has no more events', async () => {
  const { values, failure } = await follow(await start('secret'), { to: 3, breakAfter: 0 })
  expect(values).toEqual([1, 2, 3])
  expect(failure).toBeUndefined()
  expect(visits).toHaveLength(1)
})

test('the credential is sent in a header, never in the URL', async () => {
  await follow(await start('secret'), { to: 1, breakAfter: 0 })
  expect(visits[0]?.authorization).toBe('Bearer secret')
  expect(visits[0]?.url).not.toContain('secret')
})

test('an interrupted subscription resumes after the last event, and reports the interruption', async () => {
  const { values, interruptions } = await follow(await start('secret'), { to: 5, breakAfter: 3 })
  expect(values).toEqual([1, 2, 3, 4, 5])
  expect(visits.map(visit => visit.lastEventId)).toEqual([undefined, '3'])
  expect(interruptions).toEqual([expect.objectContaining({ reason: 'unreachable', path: 'count' })])
})

test('a refused subscription ends with the reason', async () => {
  const { values, failure } = await follow(await start('wrong'), { to: 5, breakAfter: 0 })
  expect(values).toEqual([])
  expect(failure).toMatchObject({
    code: 'UNAUTHORIZED',
    reason: 'unauthenticated',
    httpStatus: 401,
    path: 'count',
  })
  expect(visits).toHaveLength(1)
})

test('a closed subscription does not reconnect', async () => {
  const client = await start('secret')
  const subscription = await new Promise<{ unsubscribe(): void }>(resolve => {
    const started = client.count.subscribe(
      { to: 1_000_000, breakAfter: 0 },
      { onData: () => resolve(started) },
    )
  })
  subscription.unsubscribe()
  await new Promise(resolve => setTimeout(resolve, 1_200))
  expect(visits).toHaveLength(1)
})
