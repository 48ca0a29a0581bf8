import pg from 'pg'
import type { House } from '../actors.ts'
import { createLeaseForNewTask, type Lease } from './dataset-leases.ts'
import { snapshotTables, type Table } from './tables.ts'

/** A worker at a prompt as the API's login, with a lease for a task of its own. */
export interface LeasePrompt {
  readonly lease: Lease & { taskId: string }
  readonly work: LeasedWork
  /** What is answered under the lease, or another credential, and committed; or the code of the refusal. */
  run(sql: string, values?: unknown[], credential?: string): Promise<string>
  /** All rows but those of the leased task. */
  otherRows(): Promise<Record<string, string[]>>
}

/** What hangs on the leased task: written under the lease. */
interface LeasedWork {
  readonly messageId: string
  readonly runId: string
  readonly callId: string
}

export const INSERTS = {
  log: `insert into app.task_logs (task_id, seq, type, message) values ($1, 9, 'info', 'x')`,
  message: `insert into app.task_messages (task_id, seq, role, content, status) values ($1, 9, 'agent', '', 'streaming') returning id`,
  userMessage: `insert into app.task_messages (task_id, seq, role, content, status) values ($1, 8, 'user', 'x', 'complete')`,
  delta: `insert into app.task_message_deltas (message_id, "offset", text) values ($1, 9, 'x')`,
  event: `insert into app.task_events (task_id, seq, kind, message_id) values ($1, 9, 'message', $2)`,
  run: `insert into app.agent_runs (task_id, agent) values ($1, 'x') returning id`,
  call: `insert into app.tool_calls (run_id, call_id, tool, arguments, arguments_hash)
    values ($1, $2, $2, '{}', sha256('{}')) returning id`,
}

export async function connectAsApi(house: House): Promise<pg.Client> {
  const client = new pg.Client(house.database.directUrls.api)
  client.on('error', () => {})
  await client.connect()
  return client
}

/** A prompt with a lease for a new task of this user's, at which something was written already. */
export async function openLeasePrompt(
  house: House,
  { client, tables, userId }: { client: pg.Client; tables: readonly Table[]; userId: string },
): Promise<LeasePrompt> {
  const lease = await createLeaseForNewTask(house, { userId })

  async function run(sql: string, values: unknown[] = [], credential = lease.credential): Promise<string> {
    await client.query('begin')
    try {
      await client.query(`select set_config('app.credential', $1, true)`, [credential])
      const { rows, rowCount } = await client.query(sql, values)
      await client.query('commit')
      return `${rowCount}: ${JSON.stringify(rows)}`
    } catch (error) {
      await client.query('rollback')
      return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
    }
  }

  async function idOf(sql: string, values: unknown[]): Promise<string> {
    const answer = await run(sql, values)
    const id = /"id":"([^"]+)"/.exec(answer)?.[1]
    if (id === undefined) throw new Error(`nothing was inserted: ${answer}`)
    return id
  }

  const messageId = await idOf(INSERTS.message, [lease.taskId])
  const runId = await idOf(INSERTS.run, [lease.taskId])
  const callId = await idOf(INSERTS.call, [runId, 'read_file'])
  const own = [lease.taskId, messageId, runId, callId]

  return {
    lease,
    work: { messageId, runId, callId },
    run,
    async otherRows() {
      const snapshot = await snapshotTables(house.owner, tables)
      const isOwn = (row: string) => own.some(id => row.includes(id))
      return Object.fromEntries(
        Object.entries(snapshot).map(([name, rows]) => [name, rows.filter(row => !isOwn(row))]),
      )
    },
  }
}
