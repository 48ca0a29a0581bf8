import pg from 'pg'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { loadContent } from './content-dataset.ts'

/**
 * Users with tasks, whose ids are computed from a number, so that every process knows them without a query.
 */
export interface Dataset {
  readonly users: number
  readonly tasksPerUser: number
  readonly contentPerUser?: number
}

export const SMALL: Dataset = { users: 1_000, tasksPerUser: 100 }
export const LARGE: Dataset = { users: 10_000, tasksPerUser: 1_000 }

export const SMALL_CONTENT: Dataset = { users: 1_000, tasksPerUser: 0, contentPerUser: 100 }
export const LARGE_CONTENT: Dataset = { users: 10_000, tasksPerUser: 0, contentPerUser: 100 }

export function describeDataset({ users, tasksPerUser, contentPerUser }: Dataset): string {
  return contentPerUser === undefined
    ? `${users} users with ${tasksPerUser} tasks each`
    : `${users} creators with ${contentPerUser} pieces of content each`
}

/** The creation time of the first task; each later task is a millisecond newer, with the users in turn. */
const FIRST_TASK_MS = 1_700_000_000_000
const CHUNK = 50_000

/** The raw session token of a user, counted from 0. */
export function sessionToken(user: number): string {
  return `bench-session-token-${String(user).padStart(12, '0')}`
}

/** A task's id: a UUIDv7 with the task's creation time. */
export function taskId({ users }: Dataset, user: number, task: number): string {
  const hex = (FIRST_TASK_MS + task * users + user).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}

const USER_ID = (n: string) => `('01800000-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`
const TASK_ID = (n: string) =>
  `(lpad(to_hex(${FIRST_TASK_MS} + ${n}), 12, '0') || '70008000000000000000')::uuid`
const MADE_AT = (n: string) => `to_timestamp((${FIRST_TASK_MS} + ${n}) / 1000.0)`

/**
 * Fills a migrated, empty database. `url` is a superuser's: loading skips the triggers, since the data is
 * known to be valid.
 */
export async function loadDataset(url: string, dataset: Dataset): Promise<void> {
  const { users, tasksPerUser } = dataset
  const clients = await Promise.all([connect(url), connect(url)])
  const [first] = clients
  try {
    await first.query(
      `insert into auth.users (id, name, email)
       select ${USER_ID('n')}, 'User ' || n, 'user-' || n || '@example.com' from generate_series(0, $1::bigint - 1) n`,
      [users],
    )
    await first.query(
      `insert into auth.sessions (user_id, token, expires_at, user_agent, ip_address)
       select
         ${USER_ID('n')},
         encode(sha256(sha256(convert_to('bench-session-token-' || lpad(n::text, 12, '0'), 'UTF8'))), 'hex'),
         now() + interval '7 days', 'bench', '127.0.0.1'
       from generate_series(0, $1::bigint - 1) n`,
      [users],
    )
    const total = users * tasksPerUser
    let next = 0
    const load = async (client: pg.Client) => {
      while (next < total) {
        const from = next
        next += CHUNK
        await client.query(INSERT_TASKS, [from, Math.min(next, total) - 1, users])
      }
    }
    await Promise.all(clients.map(load))
    const { contentPerUser = 0 } = dataset
    if (contentPerUser > 0) await loadContent(clients, { users, contentPerUser })
    await first.query(
      'vacuum (analyze) auth.users, auth.sessions, app.tasks, app.settings, app.daily_usage, app.task_logs',
    )
    await first.query('checkpoint')
  } finally {
    await Promise.all(clients.map(client => client.end()))
  }
}

const INSERT_TASKS = `
insert into app.tasks (
  user_id, id, title, prompt, status, progress, repo_url, branch_name, pr_url, pr_number, pr_status, agent, model, options,
  started_at, completed_at, created_at, updated_at
)
select
  ${USER_ID('n % $3::bigint')},
  ${TASK_ID('n')},
  'Fix the build of service ' || n,
  'The build of service ' || n || ' fails since the last change of its dependencies. Find out why, mend it and open a '
    || 'pull request with a test that would have caught it.',
  case n / $3::bigint % 4 when 0 then 'pending' when 1 then 'processing' when 2 then 'error' else 'completed' end,
  n % 101,
  'https://git.example.com/acme/service-' || n,
  'fix/build-' || n,
  case when n / $3::bigint % 4 = 3 then 'https://git.example.com/acme/service-' || n || '/pull/1' end,
  case when n / $3::bigint % 4 = 3 then 1 end,
  case when n / $3::bigint % 4 = 3 then 'open' end,
  'coder',
  'large-2',
  '{"browser": false, "keepAlive": true}',
  case when n / $3::bigint % 4 > 0 then ${MADE_AT('n')} end,
  case when n / $3::bigint % 4 > 1 then ${MADE_AT('n')} end,
  ${MADE_AT('n')},
  ${MADE_AT('n')}
from generate_series($1::bigint, $2::bigint) n`

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(toPgConfig(url))
  await client.connect()
  await client.query("set session_replication_role = 'replica'")
  return client
}
