import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'
import type { FleetEvent } from './fleet-worker-fixture.ts'
import { createClient, signUp } from './index.ts'
import { PASSWORD } from './server-fixture.ts'

const TASKS = 500
const KILLED = 5
const FROZEN = 3
const WORKERS = 20

let database: TestDatabase
let owner: pg.Pool
let servers: ServerProcess[] = []
const fleet: FleetMember[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  owner = new pg.Pool({ connectionString: database.ownerUrl, max: 1 })
  owner.on('error', () => {}).on('connect', client => client.on('error', () => {}))
  const { urls, ownerUrl: directUrl } = database
  const environment = { MAX_TASKS_PER_DAY: String(TASKS) }
  servers = await Promise.all([1, 2].map(() => startServerProcess({ urls, directUrl, environment })))
})
afterAll(async () => {
  for (const { child } of fleet) child.kill('SIGKILL')
  await Promise.all(servers.map(server => server.stop()))
  await owner.end()
  await database.drop()
})

interface FleetMember {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  /** Resolves with the first event of this kind. */
  event<K extends FleetEvent['kind']>(kind: K): Promise<Extract<FleetEvent, { kind: K }>>
}

/** Starts a worker process; it keeps the task number `holdAt`, counted from 1, and does not finish it. */
function enlist(server: ServerProcess, token: string, holdAt: number): FleetMember {
  const script = join(import.meta.dirname, 'fleet-worker-fixture.ts')
  const args = [script, server.url, token, `worker-${fleet.length}`, String(holdAt)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const events: FleetEvent[] = []
  createInterface({ input: child.stdout }).on('line', line => events.push(JSON.parse(line)))
  const member: FleetMember = {
    child,
    exited: new Promise(resolve => child.once('exit', code => resolve(code))),
    event: kind =>
      vi.waitFor(
        () => {
          const found = events.find(
            (event): event is Extract<FleetEvent, { kind: typeof kind }> => event.kind === kind,
          )
          if (!found) throw new Error(`nothing was ${kind}`)
          return found
        },
        { timeout: 60_000, interval: 20 },
      ),
  }
  fleet.push(member)
  return member
}

async function ask<R extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<R[]> {
  return (await owner.query<R>(sql, values)).rows
}

async function eventually(sql: string, values: unknown[], expected: number): Promise<void> {
  await vi.waitFor(
    async () => {
      const [row] = await ask<{ n: number }>(sql, values)
      if (row?.n !== expected) throw new Error(`${row?.n} of ${expected}: ${sql}`)
    },
    { timeout: 60_000, interval: 100 },
  )
}

interface WrittenTask {
  readonly id: string
  readonly status: string
  readonly result: { run: string } | null
  readonly leases: number
  readonly lastLogSeq: number
  readonly seqs: number[] | null
  readonly lines: string[] | null
}

test('if workers are killed and frozen, every task ends once and no stale lease writes', async () => {
  const [first, second] = servers
  if (!first || !second) throw new Error('there are no servers')
  const { url } = first
  const { token } = await signUp({ url, email: 'ada@example.com', password: PASSWORD, name: 'Ada' })
  const client = createClient({ url, token })
  const worker = await client.apiTokens.create.mutate({ name: 'fleet', scopes: ['tasks:work'] })
  for (let made = 0; made < TASKS; made += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => client.tasks.create.mutate({ prompt: `task ${made + i}` })),
    )
  }

  for (let i = 0; i < WORKERS; i++) {
    enlist(i % 2 === 0 ? first : second, worker.token, i < KILLED + FROZEN ? 1 + (i % 3) : 0)
  }
  const victims = fleet.slice(0, KILLED + FROZEN)
  const [killed, frozen] = [victims.slice(0, KILLED), victims.slice(KILLED)]
  const held = await Promise.all(
    victims.map(async victim => {
      const { taskId } = await victim.event('held')
      await eventually('select least(last_log_seq, 3) as n from app.tasks where id = $1', [taskId], 3)
      victim.child.kill(killed.includes(victim) ? 'SIGKILL' : 'SIGSTOP')
      return taskId
    }),
  )
  // The frozen workers resume once others have claimed all of their tasks.
  await eventually(
    'select count(*)::int as n from app.task_leases where task_id = any ($1)',
    [held],
    2 * held.length,
  )
  for (const { child } of frozen) child.kill('SIGCONT')
  for (const victim of frozen) {
    const { reasons } = await victim.event('refused')
    expect(reasons).toEqual(Array(5).fill('lease_lost'))
  }
  await eventually(`select count(*)::int as n from app.tasks where status = 'completed'`, [], TASKS)

  for (const { child } of fleet) child.kill('SIGTERM')
  const codes = await Promise.all(fleet.map(member => member.exited))
  expect(codes).toEqual([...Array(KILLED).fill(null), ...Array(WORKERS - KILLED).fill(0)])

  const tasks = await ask<WrittenTask>(
    `select t.id, t.status, t.result, t.last_log_seq as "lastLogSeq",
       (select count(*)::int from app.task_leases l where l.task_id = t.id) as leases,
       l.seqs, l.lines
     from app.tasks t
     left join lateral (
       select array_agg(seq order by seq) as seqs, array_agg(message order by seq) as lines
       from app.task_logs where task_id = t.id
     ) l on true`,
  )
  expect(tasks).toHaveLength(TASKS)
  for (const task of tasks) {
    const { lastLogSeq, seqs, lines } = task
    expect(task).toMatchObject({ status: 'completed', leases: held.includes(task.id) ? 2 : 1 })
    expect(seqs).toEqual(Array.from({ length: lastLogSeq }, (_, i) => i + 1))
    // The runs follow each other, each line of a run is there once and in order, and the last run completed
    // the task.
    const runs = [...new Set(lines?.map(line => line.split(' ')[0]))]
    expect(runs).toHaveLength(task.leases)
    expect(runs.at(-1)).toBe(task.result?.run)
    expect(lines).toEqual(
      runs.flatMap(run =>
        Array.from(
          { length: lines?.filter(line => line.startsWith(`${run}`)).length ?? 0 },
          (_, i) => `${run} ${i}`,
        ),
      ),
    )
    expect(lines?.filter(line => line.startsWith(`${runs.at(-1)}`))).toHaveLength(4)
  }
  expect(await ask('select from app.task_leases where ended_at is null')).toEqual([])
}, 120_000)
