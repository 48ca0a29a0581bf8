import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '#server/db/database.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { rowsReadBy } from '#server/testing/rows-read.ts'
import { listLogs } from './logs.ts'
import { getTask, listTasks } from './queries.ts'

// A page reads about as many rows as it returns, however many its owner has: the policies leave the planner
// an ordered index.

const TASKS = 2_000
const LIMIT = 20
/** The page, the one extra row that shows whether another page follows, and a small margin. */
const ENOUGH = LIMIT + 5

let house: House
let actor: Actor
let taskId: string

beforeAll(async () => {
  house = await openHouse()
  actor = await createActor(house)
  for (const { userId } of [actor, await createActor(house)]) {
    const { rows } = await house.owner.query<{ id: string }>(
      `insert into app.tasks (user_id, title, prompt, status, last_log_seq)
       select $1, 'a title', 'a prompt', case n % 2 when 0 then 'pending' else 'completed' end, $2
       from generate_series(1, $2::int) n
       returning id`,
      [userId, TASKS],
    )
    if (userId === actor.userId) taskId = rows[TASKS / 2]?.id ?? ''
  }
  await house.owner.query(
    `insert into app.task_logs (user_id, task_id, seq, type, message)
     select $1, $2, n, 'info', 'a line' from generate_series(1, $3::int) n`,
    [actor.userId, taskId, TASKS],
  )
  await house.owner.query('analyze app.tasks')
  await house.owner.query('analyze app.task_logs')
})

afterAll(() => house.close())

const list = { limit: LIMIT, deleted: 'exclude' } as const

test.for<[string, (db: Database) => Promise<unknown>]>([
  ['the first page', db => listTasks(db, list)],
  ['a later page', db => listTasks(db, { ...list, cursor: taskId })],
  ['a page of one status', db => listTasks(db, { ...list, status: 'completed' })],
  ['a page of a search', db => listTasks(db, { ...list, search: 'a prompt' })],
  ['a task', db => getTask(db, taskId)],
  ['a page of a log', db => listLogs(db, { taskId, after: TASKS / 2, limit: LIMIT })],
])('%s reads no more rows than it shows', async ([, read]) => {
  const count = await rowsReadBy(actor, read)
  expect(count).toBeGreaterThan(0)
  expect(count).toBeLessThan(ENOUGH)
})
