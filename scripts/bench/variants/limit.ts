// The fastest way to do this work on this machine: bare node:http and pg, no framework, no validation, no
// row-level security, and one prepared statement per operation that joins the caller's session by hand.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import pg from 'pg'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { SCOPES } from '#server/rpc/scopes.ts'
import { listContentByHand } from './limit-content.ts'
import { announce, MAX_CONNECTIONS, MAX_TASKS_PER_DAY, readVariantOptions, storedTokenOf } from './shared.ts'

type Row = Record<string, unknown>
type Input = Record<string, unknown>

const pool = new pg.Pool({ ...toPgConfig(readVariantOptions().databaseUrl), max: MAX_CONNECTIONS })

const COLUMNS = `t.id, t.organization_id as "organizationId", t.title, t.prompt, t.status, t.progress,
  t.repo_url as "repoUrl", t.branch_name as "branchName", t.sandbox_url as "sandboxUrl", t.preview_url as "previewUrl",
  t.pr_url as "prUrl", t.pr_number as "prNumber", t.pr_status as "prStatus", t.pr_merge_commit_sha as "prMergeCommitSha",
  t.agent, t.model, t.options, t.error, t.last_log_seq as "lastLogSeq", t.started_at as "startedAt",
  t.completed_at as "completedAt", t.deleted_at as "deletedAt", t.created_at as "createdAt", t.updated_at as "updatedAt"`

const SESSION = 'select s.user_id from auth.sessions s where s.token = $1 and s.expires_at > now()'

const GET = `
select ${COLUMNS}
from auth.sessions s
join app.tasks t on t.user_id = s.user_id and t.id = $2 and t.deleted_at is null
where s.token = $1 and s.expires_at > now()`

const LIST = `
select ${COLUMNS}
from app.tasks t
where t.user_id = (${SESSION}) and t.deleted_at is null
order by t.id desc
limit $2`

const CREATE = `
with caller as (${SESSION}),
quota as (
  insert into app.daily_usage as u (user_id, day, tasks)
  select c.user_id, (now() at time zone 'UTC')::date, 1 from caller c
  on conflict (user_id, day) do update set tasks = u.tasks + 1
  returning u.tasks <= least($6, (
    select min((v.value #>> '{}')::integer) from app.settings v where v.user_id = u.user_id and v.key = 'maxTasksPerDay'
  )) as is_within
),
made as (
  insert into app.tasks (user_id, title, prompt, repo_url, agent)
  select c.user_id, $2, $3, $4, $5 from caller c
  returning *
)
select ${COLUMNS}, q.is_within from made t, quota q`

const APPEND = `
with task as (
  update app.tasks t set last_log_seq = t.last_log_seq + $5
  from auth.sessions s
  where s.token = $1 and s.expires_at > now() and t.user_id = s.user_id and t.id = $2 and t.deleted_at is null
  returning t.user_id, t.id, t.last_log_seq
),
lines as (
  insert into app.task_logs (user_id, task_id, seq, type, message)
  select task.user_id, task.id, task.last_log_seq - $5 + line.n::int, line.type, line.message
  from task, unnest($3::text[], $4::text[]) with ordinality line(type, message, n)
)
select last_log_seq as "lastSeq" from task`

const ME = `
select u.id, u.name, u.email, u.image
from auth.sessions s
join auth.users u on u.id = s.user_id
where s.token = $1 and s.expires_at > now()`

async function query(name: string, text: string, values: unknown[]): Promise<Row[]> {
  const { rows } = await pool.query<Row>({ name, text, values })
  return rows
}

function toTask(row: Row | undefined): unknown {
  if (!row) return null
  const { prUrl, prNumber, prStatus, prMergeCommitSha, is_within: _, ...rest } = row
  const pullRequest =
    prUrl === null
      ? null
      : { url: prUrl, number: prNumber, status: prStatus, mergeCommitSha: prMergeCommitSha }
  return { ...rest, pullRequest }
}

const OPERATIONS: Record<string, (token: string, input: Input) => Promise<unknown>> = {
  'tasks.get': async (token, input) => toTask((await query('get', GET, [token, input.id]))[0]),
  'tasks.list': async (token, input) => {
    const limit = Number(input.limit)
    const rows = await query('list', LIST, [token, limit + 1])
    const items = rows.slice(0, limit)
    return { items: items.map(toTask), nextCursor: rows.length > limit ? items.at(-1)?.id : null }
  },
  'content.list': (token, input) => listContentByHand(query, token, input),
  'tasks.create': async (token, input) => {
    const title = String(input.prompt).split('\n', 1)[0]
    const values = [token, title, input.prompt, input.repoUrl, input.agent, MAX_TASKS_PER_DAY]
    return toTask((await query('create', CREATE, values))[0])
  },
  'tasks.logs.append': async (token, input) => {
    const entries = input.entries as { type: string; message: string }[]
    const types = entries.map(entry => entry.type)
    const messages = entries.map(entry => entry.message)
    return (await query('append', APPEND, [token, input.taskId, types, messages, entries.length]))[0]
  },
  'account.me': async token => {
    const [user] = await query('me', ME, [token])
    return user && { user, credential: 'session', organization: null, scopes: SCOPES }
  },
}

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = req.url ?? ''
  const question = url.indexOf('?')
  const operation = OPERATIONS[url.slice('/trpc/'.length, question === -1 ? undefined : question)]
  const text = req.method === 'POST' ? await readBody(req) : readSearch(url)
  const input: { json?: Input } = text ? JSON.parse(text) : {}
  const json = await operation?.(storedTokenOf(req.headers.authorization), input.json ?? {})
  const body = JSON.stringify({ result: { data: { json, meta: metaOf(json) } } })
  res.writeHead(json ? 200 : 401, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  res.end(body)
}

const DATE = ['Date']
const DATES = ['startedAt', 'completedAt', 'publishedAt', 'createdAt', 'updatedAt']

/** The `meta` that superjson adds for dates, so that answers are as long as the other servers'. */
function metaOf(json: unknown): unknown {
  const values: Record<string, unknown> = {}
  const { items, createdAt } = (json ?? {}) as { items?: Row[]; createdAt?: unknown }
  if (items) for (let i = 0; i < items.length; i++) addDates(values, items[i], `items.${i}.`)
  else if (createdAt) addDates(values, json as Row, '')
  else return undefined
  return { values, v: 1 }
}

function addDates(values: Record<string, unknown>, row: Row | undefined, prefix: string): void {
  for (const name of DATES) if (row?.[name]) values[prefix + name] = DATE
}

function readSearch(url: string): string {
  const start = url.indexOf('?input=')
  return start === -1 ? '' : decodeURIComponent(url.slice(start + '?input='.length))
}

function readBody(req: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    req.on('error', reject)
  })
}

announce(
  createServer((req, res) => {
    answer(req, res).catch(error => {
      res.writeHead(500).end(String(error))
    })
  }),
)
