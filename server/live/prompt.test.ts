import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { type EventReader, readEvents, streamPath } from '#server/testing/event-reader.ts'
import { serveHouse } from '#server/testing/http-house.ts'
import { createLive } from './live.ts'

// Someone at a prompt as the API's login, who listens and speaks on the channel of all processes.

let house: House

beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

function idsOf({ events }: EventReader): (string | undefined)[] {
  return events.filter(({ event }) => event === 'message').map(({ id }) => id)
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 15_000; !isTrue(); await sleep(5)) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
  }
}

test('news names no task and no user, and what is said there wakes nobody up', async () => {
  const owner = await createActor(house)
  const { id } = await owner.caller().tasks.create({ prompt: 'x' })
  const log = (message: string) =>
    owner.caller().tasks.logs.append({ taskId: id, entries: [{ type: 'info', message }] })
  const prompt = new pg.Client(house.database.directUrls.api)
  prompt.on('error', () => {})
  await prompt.connect()
  const heard: string[] = []
  prompt.on('notification', ({ payload = '' }) => heard.push(payload))
  await prompt.query('listen rowhouse')
  await log('one')
  await until(() => heard.length > 0, 'the news')
  expect(heard.join()).toMatch(/^[0-9a-f-]{36}( [\w-]{22})+/)
  for (const secret of [id, owner.userId, 'logs']) expect(heard.join()).not.toContain(secret)

  const listenUrl = house.database.urls.listen
  const patient = createLive({ ...house.services, listenUrl, checkIntervalMs: 60_000 })
  const server = await serveHouse({ ...house.services, live: patient })
  const reader = readEvents({
    authorization: owner.authorization,
    port: server.port,
    path: streamPath('tasks.logs.stream', { taskId: id }),
  })
  await until(() => idsOf(reader).length === 1, 'the event')
  // Once it listens, it looks again at everything.
  await sleep(300)
  await house.owner.query(`update app.tasks set last_log_seq = 2 where id = $1`, [id])
  await house.owner.query(
    `insert into app.task_logs (user_id, task_id, seq, type, message) values ($1, $2, 2, 'info', 'unsaid')`,
    [owner.userId, id],
  )
  await prompt.query(`notify rowhouse, 'forged logs:${id} ${id}'`)
  await sleep(300)
  expect(idsOf(reader)).toHaveLength(1)
  await log('three')
  await until(() => idsOf(reader).length === 3, 'both events')
  reader.kill()
  await prompt.end()
  await server.close()
  await patient.close()
})
