import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type House, openHouse } from '#server/testing/actors.ts'
import { createClaimedTask } from '#server/testing/claims.ts'
import { streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { startApp } from './testing-servers.ts'

/** Sends requests behind each other on one connection, and leaves once the server has begun with them. */
async function sendAndLeave(
  port: number,
  requests: string[],
  hasBegun: () => Promise<boolean>,
): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(requests.join(''))
  await expect.poll(hasBegun).toBe(true)
  socket.destroy()
}

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`

describe('an answer that waits for its turn is over when its connection is:', () => {
  let letGo = Promise.withResolvers<void>()
  let server: Awaited<ReturnType<typeof startApp>>
  let begun = 0

  beforeAll(async () => {
    server = await startApp({
      hooks: { hold: () => letGo.promise },
      auth: {
        handler: async () => {
          begun++
          return new Response(null, { status: 204 })
        },
      },
      createContext: ({ requestId }) => {
        if (requestId === 'behind') begun++
        return {}
      },
    })
  })
  beforeEach(() => {
    letGo = Promise.withResolvers()
    begun = 0
  })
  afterAll(() => server.close())

  const inFlight = async () => /calls_in_flight (\d+)/.exec(await server.app.metrics.registry.metrics())?.[1]

  it.each([
    ['of the sign-in library', '/api/auth/ok'],
    ['of a plain call', '/trpc/null'],
    ['of a call that tRPC’s own adapter answers', '/trpc/null?connectionParams=null'],
    ['of a subscription', '/trpc/ticks'],
  ])('%s', async (_, path) => {
    const behind = get(path, 'x-request-id: behind\r\n')
    await sendAndLeave(server.port, [get('/trpc/held'), ...Array(20).fill(behind)], async () => begun === 20)
    letGo.resolve()
    await expect.poll(inFlight).toBe('0')
  })
})

describe('a stream that waits for its turn', () => {
  let house: House
  let served: Awaited<ReturnType<typeof serveHouse>>

  beforeAll(async () => {
    house = await openHouse()
    served = await serveHouse(house.services)
  })
  afterAll(async () => {
    await served.close()
    await house.close()
  })

  it('is over when its connection is', async () => {
    const { owner, id } = await createClaimedTask(house)
    const follow = get(
      streamPath('tasks.logs.stream', { taskId: id }),
      `authorization: ${owner.authorization}\r\n`,
    )
    const streams = async () => /streams_open (\d+)/.exec(await served.app.metrics.registry.metrics())?.[1]
    await sendAndLeave(served.port, [follow, follow, follow], async () => (await streams()) === '3')
    await expect.poll(streams).toBe('0')
  })
})
