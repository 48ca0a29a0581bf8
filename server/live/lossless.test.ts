import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { followToEnd, streamPath } from '#server/testing/event-reader.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'

let house: House
let ada: Actor
let servers: ServerProcess[]
const agent = new Agent({ keepAlive: true, maxSockets: 100 })

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
  servers = await Promise.all([startServer(), startServer()])
})
afterAll(async () => {
  agent.destroy()
  await Promise.all(servers.map(server => server.stop('SIGKILL')))
  await house.close()
})

function startServer(): Promise<ServerProcess> {
  const { urls, ownerUrl } = house.database
  return startServerProcess({ urls, directUrl: ownerUrl, environment: { LOG_LEVEL: 'info' } })
}

async function killListeners(): Promise<number> {
  const client = new pg.Client({ connectionString: house.database.superuserUrl })
  await client.connect()
  const { rowCount } = await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'rowhouse listener'`,
  )
  await client.end()
  return rowCount ?? 0
}

function anyPort(): number {
  return servers[Math.floor(Math.random() * servers.length)]?.port ?? 0
}

/** Whether the server took the call; a server that is down did not, or perhaps did. */
function append(port: number, taskId: string, message: string): Promise<boolean> {
  return new Promise(resolve => {
    const headers = { 'content-type': 'application/json', authorization: ada.authorization }
    const options = {
      host: '127.0.0.1',
      port,
      path: '/trpc/tasks.logs.append',
      method: 'POST',
      agent,
      headers,
    }
    const req = request(options, res => {
      res.resume()
      res.on('end', () => resolve(res.statusCode === 200))
      res.on('error', () => resolve(false))
    })
    req.on('error', () => resolve(false))
    req.end(JSON.stringify({ json: { taskId, entries: [{ type: 'info', message }] } }))
  })
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

describe('two servers', () => {
  it('deliver 1 to 10,000 of 50 writers once and in order to 20 subscribers that are killed at random', {
    timeout: 120_000,
  }, async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const path = streamPath('tasks.logs.stream', { taskId })
    const followers = range(20).map(() =>
      followToEnd({
        port: anyPort,
        path,
        authorization: ada.authorization,
        lifeMs: () => 50 + Math.random() * 1_500,
      }),
    )
    await Promise.all(
      range(50).map(async writer => {
        for (const n of range(200)) {
          expect(await append(anyPort(), taskId, `writer ${writer} line ${n}`)).toBe(true)
        }
      }),
    )
    await ada.caller().tasks.stop({ id: taskId })
    const everything = range(10_000)
    for (const { ids, connections } of await Promise.all(followers)) {
      expect(ids).toEqual(everything)
      expect(connections).toBeGreaterThan(1)
    }
    const { rows } = await house.owner.query<{ seq: number }>(
      'select seq from app.task_logs where task_id = $1 order by seq',
      [taskId],
    )
    expect(rows.map(row => row.seq)).toEqual(everything)
  })

  it('lose nothing while listeners are killed and a server is killed and started again', {
    timeout: 60_000,
  }, async () => {
    const { id: taskId } = await ada.caller().tasks.create({ prompt: 'x' })
    const path = streamPath('tasks.logs.stream', { taskId })
    const followers = range(10).map(() =>
      followToEnd({ port: anyPort, path, authorization: ada.authorization }),
    )
    let isWriting = true
    const writers = range(4).map(async () => {
      while (isWriting) if (!(await append(anyPort(), taskId, 'x'))) await sleep(10)
    })
    for (const round of range(4)) {
      await sleep(400)
      expect(await killListeners()).toBeGreaterThan(0)
      if (round === 2) {
        await servers[0]?.stop('SIGKILL')
        servers[0] = await startServer()
      }
      if (round === 3) {
        await servers[1]?.stop('SIGTERM')
        servers[1] = await startServer()
      }
    }
    isWriting = false
    await Promise.all(writers)
    const { lastSeq } = await ada.caller().tasks.logs.list({ taskId, limit: 1 })
    expect(lastSeq).toBeGreaterThan(100)
    await ada.caller().tasks.stop({ id: taskId })
    for (const { ids } of await Promise.all(followers)) expect(ids).toEqual(range(lastSeq))
  })
})
