import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'
import {
  connect,
  eventOf,
  installationEvent,
  readConnection,
  readEvents,
  type Sent,
  WEBHOOK_ENVIRONMENT,
} from '#server/testing/webhooks.ts'

// Tests servers in separate processes that are killed while they hold events.

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

function startServer(): Promise<ServerProcess> {
  const { urls, ownerUrl } = house.database
  const environment = { ...WEBHOOK_ENVIRONMENT, LOG_LEVEL: 'info' }
  return startServerProcess({ urls, directUrl: ownerUrl, environment })
}

async function post(server: ServerProcess, sent: Sent): Promise<number> {
  const { status } = await fetch(`http://127.0.0.1:${server.port}/webhooks/github`, {
    method: 'POST',
    headers: sent.headers as Record<string, string>,
    body: String(sent.body),
  })
  return status
}

/** Expires the claims of killed processes now. */
async function passTime(): Promise<void> {
  await house.owner.query(`update app.webhook_events set next_attempt_at = now() where status = 'processing'`)
}

describe('a server that is killed', () => {
  it('while it applies an effect leaves the event to the next process, and the effect is applied once', async () => {
    const { id, externalId } = await connect(ada, 'github')
    const holder = await house.owner.connect()
    try {
      await using first = await startServer()
      // Allows deliveries to name the connection, and blocks changes to it.
      await holder.query('begin')
      await holder.query('select from app.connections where id = $1 for share', [id])
      expect(await post(first, installationEvent(externalId, 'deleted'))).toBe(200)
      await expect.poll(async () => (await readEvents(house, id))[0]?.status).toBe('processing')
      await first.stop('SIGKILL')

      await using second = await startServer()
      await passTime()
      await expect.poll(async () => (await readEvents(house, id))[0]?.attempts, { timeout: 10_000 }).toBe(2)
      await holder.query('commit')
      await expect
        .poll(async () => (await readEvents(house, id))[0]?.status, { timeout: 10_000 })
        .toBe('processed')
      expect(await readConnection(house, id)).toMatchObject({ status: 'revoked', token_version: 1 })
      await second.stop()
    } finally {
      holder.release()
    }
  })

  it('during deliveries loses none that it answered', async () => {
    const { id, externalId } = await connect(ada, 'github')
    const answered: string[] = []
    for (let round = 0; round < 3; round++) {
      await using server = await startServer()
      const enough = 40
      const before = answered.length
      await Promise.allSettled(
        Array.from({ length: 200 }, async () => {
          const sent = eventOf('github', externalId)
          if ((await post(server, sent)) !== 200) return
          answered.push(String(sent.headers['x-github-delivery']))
          if (answered.length === before + enough) await server.stop('SIGKILL')
        }),
      )
      expect(answered.length).toBeGreaterThanOrEqual(before + enough)
    }
    await using last = await startServer()
    const openEvents = async () => {
      await passTime()
      return (await readEvents(house, id)).filter(({ status }) => status !== 'processed').length
    }
    await expect.poll(openEvents, { timeout: 20_000 }).toBe(0)
    const { rows } = await house.owner.query<{ delivery_id: string }>(
      `select d.delivery_id from app.webhook_deliveries d
       join app.webhook_events e on e.delivery_id = d.id and e.connection_id = $1 and e.status = 'processed'`,
      [id],
    )
    expect(rows.map(row => row.delivery_id)).toEqual(expect.arrayContaining(answered))
    await last.stop()
  })
})
