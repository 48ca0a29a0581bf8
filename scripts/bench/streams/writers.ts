import { hash } from 'node:crypto'
import { Agent, request } from 'node:http'
import pg from 'pg'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import type { BenchTask } from './house.ts'

export interface Writers {
  readonly written: number
  stop(): Promise<void>
}

/** Appends lines through the server one by one, evenly, `perSecond` over all tasks. */
export function startWriters(port: number, tasks: readonly BenchTask[], perSecond: number): Writers {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const started = performance.now()
  const pending = new Set<Promise<void>>()
  let issued = 0
  let written = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - started) / 1_000) * perSecond
    for (; issued < due; issued++) {
      const task = tasks[issued % tasks.length]
      if (!task) continue
      const call = append(port, agent, task).then(() => {
        written++
      })
      pending.add(call)
      void call.finally(() => pending.delete(call))
    }
  }, 5)
  return {
    get written() {
      return written
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      agent.destroy()
    },
  }
}

function append(port: number, agent: Agent, task: BenchTask): Promise<void> {
  const entries = [{ type: 'info', message: 'compiled 214 modules in 3.2 s; 2 warnings, 0 errors' }]
  const body = JSON.stringify({ json: { taskId: task.id, entries } })
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${task.token}` }
    const req = request(
      { host: '127.0.0.1', port, path: '/trpc/tasks.logs.append', method: 'POST', agent, headers },
      res => {
        res.resume()
        res.on('end', () =>
          res.statusCode === 200 ? resolve() : reject(new Error(`append: ${res.statusCode}`)),
        )
      },
    )
    req.on('error', reject)
    req.end(body)
  })
}

const SIGN_IN = `select * from app.sign_in($1, null, 'tasks:write', false, 10000)`
const APPEND = `with task as (
    update app.tasks set last_log_seq = last_log_seq + 1 where id = $1 returning id, last_log_seq
  )
  insert into app.task_logs (task_id, seq, type, message) select id, last_log_seq, 'info', $2 from task`

/**
 * Appends to one task without subscribers at a steady pace, directly in the database, and resolves with the
 * milliseconds of each commit: notifications must not slow these commits down.
 */
export async function measureCommits(apiUrl: string, task: BenchTask, durationMs: number): Promise<number[]> {
  const client = new pg.Client(toPgConfig(apiUrl))
  await client.connect()
  const credential = `t:${hash('sha256', task.token, 'hex')}`
  const times: number[] = []
  const end = performance.now() + durationMs
  while (performance.now() < end) {
    await client.query('begin')
    await client.query({ name: 'sign-in', text: SIGN_IN, values: [credential] })
    await client.query({ name: 'append', text: APPEND, values: [task.id, 'nobody reads this'] })
    const startedAt = performance.now()
    await client.query('commit')
    times.push(performance.now() - startedAt)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  await client.end()
  return times
}
