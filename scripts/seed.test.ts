import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { TASK_STATUSES } from '#server/rooms/tasks/state.ts'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { readTables, snapshotTables } from '#server/testing/isolation/tables.ts'
import { CONTENT } from './seed/content.ts'
import { ADA, GRACE, ORGANIZATION, TASKS } from './seed/demo.ts'

let database: TestDatabase
let owner: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  owner = new pg.Client(database.superuserUrl)
  owner.on('error', () => {})
  await owner.connect()
})
afterAll(async () => {
  await owner.end()
  await database.drop()
})

function seed(args: string[] = [], env: Record<string, string> = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-data-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const { urls, ownerUrl } = database
  const child = spawn(process.execPath, [join(import.meta.dirname, 'seed.ts'), ...args], {
    cwd: dataDir,
    env: {
      PATH: '/usr/bin:/bin',
      DATA_DIR: dataDir,
      AUTH_SECRET: TEST_AUTH_SECRET,
      DIRECT_URL: ownerUrl,
      ...loginEnvironment(urls),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const finished = { code: null as number | null, stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    finished.stdout += String(chunk)
  })
  child.stderr.on('data', chunk => {
    finished.stderr += String(chunk)
  })
  return new Promise<typeof finished>(resolve => child.on('close', code => resolve({ ...finished, code })))
}

async function ask<R extends pg.QueryResultRow>(sql: string): Promise<R[]> {
  return (await owner.query<R>(sql)).rows
}

describe('the seed', () => {
  test('creates users, their organization, and tasks in every state with logs and messages', async () => {
    const { code, stdout } = await seed(['--json'])
    expect(code).toBe(0)
    const told = JSON.parse(stdout)
    expect(told).toMatchObject({ ok: true, organization: { slug: ORGANIZATION.slug, isNew: true } })
    expect(told.users.map((user: { email: string }) => user.email)).toEqual([ADA.email, GRACE.email])
    expect(told.tasks).toHaveLength(TASKS.length)
    expect(told.content).toHaveLength(CONTENT.length)
    expect(
      await ask(
        `select c.title, c.status as state, c.organization_id is not null as "isShared" from app.content c order by 1`,
      ),
    ).toEqual(
      CONTENT.map(({ title, state, isShared = false }) => ({ title, state, isShared })).toSorted((a, b) =>
        a.title < b.title ? -1 : 1,
      ),
    )

    expect(
      await ask(
        `select u.email, m.role, u.email_verified from auth.members m join auth.users u on u.id = m.user_id
         join auth.organizations o on o.id = m.organization_id order by 1`,
      ),
    ).toEqual([
      { email: ADA.email, role: 'owner', email_verified: true },
      { email: GRACE.email, role: 'member', email_verified: true },
    ])
    const tasks = await ask<{ title: string; state: string; logs: number; messages: number }>(
      `select t.title, case when t.deleted_at is null then t.status else 'removed' end as state,
         (select count(*)::int from app.task_logs l where l.task_id = t.id and t.last_log_seq >= l.seq) as logs,
         (select count(*)::int from app.task_messages m where m.task_id = t.id and t.last_message_seq >= m.seq) as messages
       from app.tasks t`,
    )
    const byTitle = (left: { title: string }, right: { title: string }) => (left.title < right.title ? -1 : 1)
    expect(tasks.sort(byTitle)).toEqual(
      TASKS.map(({ title, state, logs = [], messages = [] }) => ({
        title,
        state,
        logs: logs.length,
        messages: messages.length,
      })).sort(byTitle),
    )
    expect(new Set(tasks.map(({ state }) => state))).toEqual(new Set([...TASK_STATUSES, 'removed']))
  })

  test('leaves no session open', async () => {
    expect(await ask('select from auth.sessions')).toEqual([])
  })

  test('prints what exists and changes nothing when it runs again', async () => {
    const tables = (await readTables(owner)).filter(({ name }) => name !== 'app.rate_limits')
    const before = await snapshotTables(owner, tables)
    const { code, stdout } = await seed()
    expect(code).toBe(0)
    expect(stdout).not.toMatch(/^created/m)
    expect(stdout).toContain(`exists   ${ADA.name} <${ADA.email}>`)
    for (const { title } of TASKS) expect(stdout).toContain(`exists   task "${title}"`)
    expect(await snapshotTables(owner, tables)).toEqual(before)
  })

  test('creates only what is missing', async () => {
    const [task] = TASKS
    await owner.query('delete from app.tasks where title = $1', [task?.title])
    const { stdout } = await seed()
    expect(stdout.match(/^created.*/gm)).toEqual([expect.stringContaining(`task "${task?.title}"`)])
  })

  test('does not take over a user with another password', async () => {
    await owner.query(`update auth.accounts set password = 'x:y'`)
    const { code, stderr } = await seed()
    expect(code).toBe(1)
    expect(stderr).toMatch(/^seed: ada@example\.com exists with another password/)
  })

  test('is refused in production', async () => {
    const production = {
      NODE_ENV: 'production',
      AUTH_SECRET: 'q7Vd0mYt3Zb8Kc2Xw5Rn9Hs4Lp6Gf1Ja',
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    }
    const { code, stderr } = await seed([], production)
    expect(code).toBe(1)
    expect(stderr).toBe('seed: the seed is refused in production: it creates users with a public password\n')
  })

  test('prints help', async () => {
    expect(await seed(['--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Usage: seed [options]'),
    })
  })
})
