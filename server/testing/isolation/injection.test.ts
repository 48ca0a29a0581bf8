import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { type House, openHouse } from '../actors.ts'
import { createHousehold, type Household, marksOf, sessionCredential } from './dataset.ts'
import { type Injector, openInjector } from './injector.ts'
import { readTables, rowsMentioning } from './tables.ts'

// Tests SQL that an attacker injects into a statement of the server: it reads only the attacker's own rows.

let house: House
let injector: Injector
let attacker: Household
let victim: Household
let untouched: Record<string, unknown> | undefined

beforeAll(async () => {
  house = await openHouse()
  attacker = await createHousehold(house, 'Attacker')
  victim = await createHousehold(house, 'Victim')
  injector = openInjector(house, { attacker, victim })
  untouched = await injector.lookAround()
  const { taskId, removedTaskId, stoppedTaskId, leasedTaskId } = victim
  expect(untouched?.tasks).toEqual([taskId, removedTaskId, stoppedTaskId, leasedTaskId].sort())
})

afterAll(async () => {
  await injector.pool.end()
  await house.close()
})

describe('SQL in a statement of the server’s reaches no other user:', () => {
  const reads: [title: string, text: (victim: Household) => string][] = [
    ['every task', () => 'select * from app.tasks'],
    ['every task but one’s own', user => `select * from app.tasks where user_id = '${user.userId}'`],
    ['another table in a union', () => 'select 1 as id union all select count(*)::int from app.task_logs'],
    ['sessions', () => 'select * from auth.sessions'],
    ['tokens of sessions', () => 'select token from auth.sessions'],
    ['hashes of tokens', () => `select encode(token_hash, 'hex') from app.api_tokens`],
    ['mail addresses', () => 'select email from auth.users'],
    ['passwords', () => 'select password from auth.accounts'],
    ['second factors', () => 'select secret from auth.two_factors'],
    ['invitations', () => 'select * from auth.invitations'],
    ['counters', () => 'select * from app.rate_limits'],
    ['users', () => 'select id, name, image from auth.users'],
    ['organizations', () => 'select id, name, slug, logo from auth.organizations'],
    ['members', () => 'select organization_id, user_id, role from auth.members'],
    ['the account’s copy', () => 'select * from app.export_account()'],
    ['sessions by the function', () => 'select * from app.list_sessions()'],
    ['another session’s end', user => `select app.revoke_session('${user.sessionId}')`],
    [
      'another organization',
      user =>
        `select app.current_organization_id(), app.member_organization_ids() @> array['${user.organizationId}'::uuid]`,
    ],
    ['tasks through XML', () => `select table_to_xml('app.tasks', true, false, '')`],
    [
      'statistics',
      () =>
        `select most_common_vals::text, histogram_bounds::text from pg_stats where schemaname in ('app', 'auth')`,
    ],
    ['other sessions’ statements', () => 'select query from pg_stat_activity'],
    ['the logins’ passwords', () => 'select rolpassword from pg_authid'],
    ['files', () => `select pg_read_file('PG_VERSION')`],
    [
      'by an error of division',
      user => `select 1 / (case when user_id = '${user.userId}' then 0 else 1 end) from app.tasks`,
    ],
    ['by an error of a cast', () => 'select count(*) from app.tasks where title::int = 1'],
  ]

  test.for(reads)('%s', async ([, text]) => {
    await house.owner.query('analyze app.tasks, auth.users, auth.sessions')
    const before = await victimsRows()
    const answer = await injector.inject(text(victim))
    for (const mark of [...marksOf(victim), ...(await storedSecretsOf(victim))]) {
      // The attacker's own text may be in an error's message.
      if (!text(victim).includes(mark)) expect(answer).not.toContain(mark)
    }
    expect(await victimsRows()).toEqual(before)
  })

  const writes: [title: string, text: (victim: Household) => string][] = [
    ['change all tasks', () => `update app.tasks set title = 'taken'`],
    ['change all settings', () => `update app.settings set value = '0'`],
    ['remove all settings', () => 'delete from app.settings'],
    ['revoke all tokens', () => 'update app.api_tokens set revoked_at = now()'],
    [
      'write as another',
      user => `insert into app.settings (user_id, key, value) values ('${user.userId}', 'theme', '"dark"')`,
    ],
    [
      'write to another’s task',
      user =>
        `insert into app.task_logs (task_id, seq, type, message) values ('${user.taskId}', 2, 'info', 'taken')`,
    ],
    [
      'put a task into another’s organization',
      user =>
        `insert into app.tasks (title, prompt, organization_id) values ('x', 'x', '${user.organizationId}')`,
    ],
    [
      'bind a token to another’s organization',
      user =>
        `insert into app.api_tokens (name, prefix, token_hash, scopes, organization_id) values ('x', 'x', sha256('x'), '{}', '${user.organizationId}')`,
    ],
    ['give a row away', user => `update app.settings set user_id = '${user.userId}'`],
    ['raise a quota', () => 'update app.daily_usage set tasks = 0'],
    ['end all sessions', () => 'delete from auth.sessions'],
    ['take a mail address', () => `update auth.users set email = 'taken@example.com'`],
    [
      'join an organization',
      user =>
        `insert into auth.members (organization_id, user_id) values ('${user.organizationId}', app.current_user_id())`,
    ],
    ['empty a table', () => 'truncate app.tasks'],
    ['drop a policy', () => 'drop policy select_owner on app.tasks'],
  ]

  test.for(writes)('%s', async ([, text]) => {
    const before = await victimsRows()
    await injector.inject(text(victim))
    expect(await victimsRows()).toEqual(before)
  })

  async function victimsRows() {
    return rowsMentioning(house.owner, await readTables(house.owner), marksOf(victim))
  }

  async function storedSecretsOf(user: Household): Promise<string[]> {
    const { rows } = await house.owner.query<{ session: string; token: string }>(
      `select s.token as session, encode(t.token_hash, 'hex') as token
       from auth.sessions s join app.api_tokens t using (user_id) where user_id = $1`,
      [user.userId],
    )
    return [...rows.flatMap(row => [row.session, row.token]), sessionCredential(user)]
  }
})

test('SQL in a statement of the server’s reads its caller’s own rows', async () => {
  expect(await injector.inject('select * from app.tasks')).toContain(attacker.taskId)
})

test('a query can’t be made to write', async () => {
  const db = scopedDatabase(injector.pool, injector.scopeOf(attacker, true))
  for (const text of [
    `insert into app.settings (key, value) values ('theme', '"dark"')`,
    `with changed as (update app.tasks set title = 'x' returning id) select * from changed`,
    `select app.take_quota('tasks', 10)`,
    'select app.remove_account()',
  ]) {
    await expect(sql.raw(text).execute(db)).rejects.toMatchObject({ code: '25006' })
  }
  expect(await injector.lookAround()).toEqual(untouched)
})

test('SQL in a transaction of the server’s leaves nothing to the next caller', async () => {
  const db = scopedDatabase(injector.pool, injector.scopeOf(attacker, false))
  for (const text of [
    `select set_config('synchronous_commit', 'off', false)`,
    'commit',
    'savepoint smuggled',
    'select 1 / 0',
    'select * from app.tasks for update',
  ]) {
    await db
      .transaction()
      .execute(async transaction => {
        await transaction.selectFrom('app.tasks').select('id').execute()
        await sql.raw(text).execute(transaction)
      })
      .catch(() => {})
    expect(await injector.lookAround()).toEqual(untouched)
  }
})

test('text of a user’s that reads like SQL is stored as it is', async () => {
  const db = scopedDatabase(injector.pool, injector.scopeOf(attacker, false))
  const prompt = `select set_config('role', 'x', false); update pg_settings set u&"x"; pg_advisory_lock(1)`
  const { title } = await db
    .insertInto('app.tasks')
    .values({ title: prompt, prompt })
    .returning('title')
    .executeTakeFirstOrThrow()
  expect(title).toBe(prompt)
})
