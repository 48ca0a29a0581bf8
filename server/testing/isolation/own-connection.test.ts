import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, openHouse } from '../actors.ts'
import { createHousehold, type Household, marksOf, sessionCredential, tokenCredential } from './dataset.ts'
import { readTables, rowsMentioning } from './tables.ts'

// Tests an attacker with a connection of the API's login: any SQL, the simple protocol, and perhaps the
// credential of one user. They must not reach other users.

let house: House
let client: pg.Client
let intruder: Household
let victim: Household

beforeAll(async () => {
  house = await openHouse()
  intruder = await createHousehold(house, 'Intruder')
  victim = await createHousehold(house, 'Victim')
  await house.owner.query('analyze')
  client = new pg.Client(house.database.directUrls.api)
  client.on('error', () => {})
  await client.connect()
})

afterAll(async () => {
  await client.end()
  await house.close()
})

/** Runs a script and returns its answer or its error; resets the connection afterwards. */
async function run(script: string): Promise<string> {
  try {
    const results = [await client.query(script)].flat()
    return JSON.stringify(results.flatMap(result => result.rows))
  } catch (error) {
    return error instanceof pg.DatabaseError
      ? `${error.code}: ${error.message} ${error.detail ?? ''}`
      : String(error)
  } finally {
    await client.query('rollback')
    await client.query('discard all')
  }
}

async function victimsRows(): Promise<Record<string, string[]>> {
  return rowsMentioning(house.owner, await readTables(house.owner), marksOf(victim))
}

describe('refused whoever asks:', () => {
  const refused: [title: string, script: string, code: string][] = [
    ['sessions', 'select * from auth.sessions', '42501'],
    ['a session’s token', 'select token from auth.sessions', '42501'],
    ['the number of sessions', 'select count(*) from auth.sessions', '42501'],
    ['hashes of tokens', 'select token_hash from app.api_tokens', '42501'],
    ['all columns of tokens', 'select * from app.api_tokens', '42501'],
    ['tokens as whole rows', 'select t from app.api_tokens t', '42501'],
    ['passwords', 'select password from auth.accounts', '42501'],
    ['mail addresses', 'select email from auth.users', '42501'],
    ['resets', 'select * from auth.verifications', '42501'],
    ['the logins’ passwords', 'select * from pg_authid', '42501'],
    ['what leases are stored as', 'select credential_hash from app.task_leases', '42501'],
    ['leases as whole rows', 'select l from app.task_leases l', '42501'],
    ['statistics as stored', 'select * from pg_statistic', '42501'],
    ['tables past their policies', 'set row_security = off; select * from app.tasks', '42501'],
    ['the public login', 'set role rowhouse_public', '42501'],
    ['the auth login', 'set role rowhouse_auth', '42501'],
    ['the system login', 'set role rowhouse_system', '42501'],
    ['a role that reads all', 'set role pg_read_all_data', '42501'],
    ['a role by a setting', `select set_config('role', 'rowhouse_auth', false)`, '42501'],
    ['a session of another login', 'set session authorization rowhouse_auth', '42501'],
    ['triggers off', `set session_replication_role = replica`, '42501'],
    ['a temporary table', 'create temporary table tasks (id uuid)', '42501'],
    ['a temporary view', 'create temporary view tasks as select 1', '42501'],
    ['a temporary sequence', 'create temporary sequence s', '42501'],
    ['a temporary table from a select', 'select 1 as id into temporary t', '42501'],
    [
      'a temporary function',
      'create function pg_temp.f() returns int language sql as $$ select 1 $$',
      '42501',
    ],
    ['a table', 'create table app.t (id int)', '42501'],
    ['a table in public', 'create table public.t (id int)', '42501'],
    ['a view', 'create view public.v as select 1', '42501'],
    ['a function', 'create function app.f() returns int language sql as $$ select 1 $$', '42501'],
    [
      'a function in public',
      'create function public.f() returns int language sql as $$ select 1 $$',
      '42501',
    ],
    [
      'an operator',
      'create operator public.=== (function = texteq, leftarg = text, rightarg = text)',
      '42501',
    ],
    ['a schema', 'create schema s', '42501'],
    ['an extension', 'create extension dblink', '42501'],
    [
      'a trigger',
      'create trigger t after insert on app.tasks execute function app.touch_updated_at()',
      '42501',
    ],
    ['a rule', 'create rule r as on select to app.tasks do instead select 1', '42501'],
    ['a policy', 'create policy p on app.tasks using (true)', '42501'],
    ['another policy', 'alter policy select_owner on app.tasks using (true)', '42501'],
    ['no row-level security', 'alter table app.tasks disable row level security', '42501'],
    ['another owner', 'alter table app.tasks owner to rowhouse_api', '42501'],
    ['another function body', 'alter function app.current_user_id() security invoker', '42501'],
    ['more rights', 'alter role rowhouse_api superuser', '42501'],
    ['a role', 'create role r', '42501'],
    ['the server’s settings', `alter system set log_statement = 'all'`, '42501'],
    ['a database', 'create database d', '42501'],
    ['an empty table', 'truncate app.tasks', '42501'],
    ['a program', `copy (select 1) to program 'cat'`, '42501'],
    ['a file', `copy app.task_logs (message) from '/etc/passwd'`, '42501'],
    ['a file as text', `select pg_read_file('PG_VERSION')`, '42501'],
    ['a file as an object', `select lo_import('/etc/passwd')`, '42501'],
    ['a lock on a table', 'begin; lock table app.rate_limits', '42501'],
  ]

  test.for(refused)('%s', async ([, script, code]) => {
    expect(await run(script)).toContain(`${code}: `)
    const { rows } = await client.query('select current_user || session_user as users')
    expect(rows).toEqual([{ users: 'rowhouse_apirowhouse_api' }])
  })

  test('the owner’s role, and the superuser’s', async () => {
    const { rows } = await house.owner.query<{ owner: string }>('select current_user as owner')
    for (const role of [rows[0]?.owner, new URL(house.database.superuserUrl).username]) {
      expect(await run(`set role "${role}"`)).toContain('42501: ')
      expect(await run(`set session authorization "${role}"`)).toContain('42501: ')
    }
  })

  test('a grant', async () => {
    await run('grant select on auth.sessions to rowhouse_api')
    await run('grant rowhouse_auth to rowhouse_api')
    expect(await run('select token from auth.sessions')).toContain('42501: ')
    expect(await run('set role rowhouse_auth')).toContain('42501: ')
  })
})

describe('with the credential of one user, nothing is seen of another:', () => {
  const presentations: [title: string, prefix: () => string][] = [
    ['by hand', () => `select set_config('app.credential', '${sessionCredential(intruder)}', false);`],
    [
      'by hand, as a token',
      () => `select set_config('app.credential', '${tokenCredential(intruder.apiToken)}', false);`,
    ],
    [
      'by sign_in',
      () => `begin; select * from app.sign_in('${sessionCredential(intruder)}', null, 'any', false, 0);`,
    ],
    [
      'with the other’s user id beside it',
      () =>
        `select set_config('app.credential', '${sessionCredential(intruder)}', false), set_config('app.user_id', '${victim.userId}', false), set_config('app.current_user_id', '${victim.userId}', false), set_config('app.owner', '${victim.userId}', false);`,
    ],
    [
      'with the other’s organization beside it',
      () =>
        `select set_config('app.credential', '${sessionCredential(intruder)}', false), set_config('app.organization', '${victim.organizationId}', false);`,
    ],
    [
      'with a search path of one’s own',
      () =>
        `select set_config('app.credential', '${sessionCredential(intruder)}', false); set search_path = pg_temp, public, app, auth;`,
    ],
    ['without any', () => ''],
  ]
  const looks = [
    'select * from app.tasks',
    'select * from app.task_logs',
    'select * from app.task_messages',
    'select * from app.settings',
    'select * from app.task_message_deltas',
    'select * from app.task_events',
    'select user_id, id, task_id, worker from app.task_leases',
    'select * from app.agent_runs',
    'select * from app.tool_calls',
    'select * from app.tools',
    'select * from app.user_tools',
    `select * from app.claim_task('x', 60, sha256('x'))`,
    'select app.leased_user_id(), app.leased_task_id(), app.leased_id()',
    'select * from app.extend_lease()',
    'select * from app.daily_usage',
    'select id, name, prefix, scopes from app.api_tokens',
    'select id, name, image from auth.users',
    'select id, name, slug, logo from auth.organizations',
    'select organization_id, user_id, role from auth.members',
    'select app.current_organization_id(), app.known_user_ids()',
    'select * from app.current_account()',
    'select * from app.list_sessions()',
    'select * from app.export_account()',
    'declare c cursor with hold for select * from app.tasks; fetch all from c',
    'prepare p as select * from app.tasks; execute p',
    'explain (analyze, verbose) select * from app.tasks where user_id is not null',
    'copy app.tasks to stdout',
    `select most_common_vals::text, histogram_bounds::text from pg_stats where schemaname in ('app', 'auth')`,
    'select query from pg_stat_activity',
    'select * from pg_prepared_xacts',
    `do $$ declare t record; begin for t in select * from app.tasks loop raise exception '%', t; end loop; end $$`,
    'select title::int from app.tasks order by user_id desc',
    `select 1 / (length(title) - length(title)) from app.tasks`,
    'update app.tasks set title = title returning *',
    'delete from app.settings returning *',
    'select * from app.tasks for update',
    'with recursive r as (select * from app.tasks union select * from app.tasks) select * from r',
    'merge into app.settings s using app.tasks t on true when matched then delete',
  ]

  test.for(presentations)('%s', async ([, prefix]) => {
    const before = await victimsRows()
    const intruders = marksOf(intruder)
    let own = 0
    for (const look of looks) {
      const answer = await run(`begin; ${prefix()} ${look}`)
      if (intruders.some(mark => answer.includes(mark))) own++
      for (const mark of marksOf(victim)) {
        if (!prefix().includes(mark)) expect(answer, look).not.toContain(mark)
      }
    }
    expect(own > 0).toBe(prefix() !== '')
    expect(await victimsRows()).toEqual(before)
  })

  test('a row of another’s is refused as one that does not exist', async () => {
    const credential = `begin; select set_config('app.credential', '${sessionCredential(intruder)}', true);`
    const missing = randomUUID()
    for (const write of [
      (id: string) =>
        `insert into app.task_logs (task_id, seq, type, message) values ('${id}', 9, 'info', 'x')`,
      (id: string) =>
        `insert into app.task_messages (task_id, seq, role, content, status) values ('${id}', 9, 'user', 'x', 'complete')`,
      (id: string) => `insert into app.tasks (title, prompt, organization_id) values ('x', 'x', '${id}')`,
      (id: string) =>
        `insert into app.api_tokens (name, prefix, token_hash, scopes, organization_id) values ('x', 'x', sha256('x'), '{}', '${id}')`,
      (id: string) => `update app.api_tokens set replaced_by = '${id}'`,
      (id: string) => `select app.revoke_session('${id}')`,
      (id: string) => `select * from app.authenticate('${sessionCredential(intruder)}', '${id}', 'any')`,
    ]) {
      for (const id of [victim.taskId, victim.organizationId, victim.apiToken.id, victim.sessionId]) {
        const other = await run(credential + write(id))
        const none = await run(credential + write(missing))
        const without = (text: string, uuid: string) =>
          text
            .replaceAll(uuid, 'ID')
            .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID')
            .replaceAll(/\d{4}-\d\d-\d\d [\d:.+]+/g, 'TIME')
        expect(without(other, id)).toBe(without(none, missing))
      }
    }
  })

  test('what the server sends while it serves another shows no credential', async () => {
    const server = new pg.Client(house.database.directUrls.api)
    await server.connect()
    try {
      await server.query('begin')
      const credential = sessionCredential(victim)
      await server.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
        credential,
        null,
        'any',
        true,
        5_000,
      ])
      const answer = await run('select * from pg_stat_activity')
      // Where a superuser owns the database, this is closed as well.
      if (!answer.startsWith('42501: ')) expect(answer).toContain('app.sign_in')
      expect(answer).not.toContain(credential.slice(2))
    } finally {
      await server.end()
    }
  })
})
