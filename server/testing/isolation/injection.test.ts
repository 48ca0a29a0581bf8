import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scopedDatabase } from '../../db/database.ts'
import { LoginPool } from '../../db/login-pool.ts'
import { toPgConfig } from '../../db/postgres-client.ts'
import type { StatementScope } from '../../db/scope.ts'
import { type House, openHouse } from '../actors.ts'
import { createHousehold, type Household, marksOf, sessionCredential } from './dataset.ts'
import { LASTING, LET_THROUGH, OBSERVATION, REFUSED, REFUSED_BY_POSTGRES } from './leftovers.ts'
import { readTables, rowsMentioning } from './tables.ts'

// SQL that an attacker got into a statement of the server's, on a pool of one connection, which the next caller's statement
// runs on as well. Whatever they try, they read their own rows only, and the next caller finds the connection as it was.

let house: House
let pool: LoginPool
let attacker: Household
let victim: Household
let untouched: Record<string, unknown> | undefined

beforeAll(async () => {
  house = await openHouse()
  pool = openPool()
  attacker = await createHousehold(house, 'Attacker')
  victim = await createHousehold(house, 'Victim')
  untouched = await lookAround()
  const { taskId, removedTaskId, stoppedTaskId, leasedTaskId } = victim
  expect(untouched?.tasks).toEqual([taskId, removedTaskId, stoppedTaskId, leasedTaskId].sort())
})

afterAll(async () => {
  await pool.end()
  await house.close()
})

function openPool(): LoginPool {
  return new LoginPool({
    connection: toPgConfig(house.database.directUrls.api),
    isNamed: true,
    maxConnections: 1,
  })
}

function scopeOf(user: Household, isReadOnly: boolean): StatementScope {
  return {
    credential: sessionCredential(user),
    organizationId: null,
    permission: 'session',
    isReadOnly,
    timeoutMs: 5_000,
  }
}

async function inject(text: string): Promise<string> {
  const db = scopedDatabase(pool, scopeOf(attacker, false))
  try {
    const { rows } = await sql.raw(text).execute(db)
    return JSON.stringify(rows)
  } catch (error) {
    return String(error)
  }
}

/** Everything that the next caller's statement could notice about the connection it runs on. */
async function lookAround(): Promise<Record<string, unknown> | undefined> {
  const scope = scopeOf(victim, false)
  const connection = await pool.checkOut()
  try {
    const signIn = {
      sql: 'select * from app.sign_in($1, $2, $3, $4, $5)',
      values: [scope.credential, null, scope.permission, scope.isReadOnly, scope.timeoutMs],
    }
    const [, seen] = await connection.exchange([signIn, { sql: OBSERVATION, values: [] }], scope)
    return seen?.rows[0]
  } finally {
    connection.release()
  }
}

describe('SQL in a statement of the server’s leaves nothing to the next caller, because it is refused unsent:', () => {
  test.for([...LASTING, ...REFUSED])('%s', async ([, text]) => {
    expect(await inject(text)).toMatch(/^ForbiddenStatementError: /)
    expect(await lookAround()).toEqual(untouched)
  })

  // Past the filter, on a connection of its own.
  test.for(LASTING)('%s would be met otherwise', async ([, text]) => {
    const client = new pg.Client(house.database.directUrls.api)
    client.on('error', () => {})
    await client.connect()
    try {
      const before = await lookAroundOn(client)
      await client.query('begin')
      await client.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
        sessionCredential(attacker),
        null,
        'any',
        false,
        5_000,
      ])
      await client.query(text)
      await client.query('commit')
      expect(await lookAroundOn(client)).not.toEqual(before)
    } finally {
      await client.end()
      const superuser = new pg.Client(house.database.superuserUrl)
      await superuser.connect()
      await superuser.query('select lo_unlink(oid) from pg_largeobject_metadata')
      await superuser.end()
    }
  })
})

async function lookAroundOn(client: pg.Client): Promise<unknown> {
  await client.query('begin')
  await client.query('select * from app.sign_in($1, $2, $3, $4, $5)', [
    sessionCredential(victim),
    null,
    'any',
    false,
    5_000,
  ])
  const { rows } = await client.query(OBSERVATION)
  await client.query('commit')
  return JSON.parse(JSON.stringify(rows[0]))
}

test.for(REFUSED_BY_POSTGRES)('the server itself refuses %s', async ([, text, code]) => {
  const db = scopedDatabase(pool, scopeOf(attacker, false))
  await expect(sql.raw(text).execute(db)).rejects.toMatchObject({ code })
  expect(await lookAround()).toEqual(untouched)
})

test('queries and changes of rows are let through, however they are written', async () => {
  const db = scopedDatabase(pool, scopeOf(attacker, false))
  for (const text of LET_THROUGH) {
    const outcome = await sql
      .raw(text)
      .execute(db)
      .then(() => 'sent', String)
    expect([text, outcome]).toEqual([text, 'sent'])
  }
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
    const answer = await inject(text(victim))
    for (const mark of [...marksOf(victim), ...(await storedSecretsOf(victim))]) {
      // What the attacker typed comes back in an error's text.
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
    await inject(text(victim))
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
  expect(await inject('select * from app.tasks')).toContain(attacker.taskId)
})

test('a query can’t be made to write', async () => {
  const db = scopedDatabase(pool, scopeOf(attacker, true))
  for (const text of [
    `insert into app.settings (key, value) values ('theme', '"dark"')`,
    `with changed as (update app.tasks set title = 'x' returning id) select * from changed`,
    `select app.take_quota('tasks', 10)`,
    'select app.remove_account()',
  ]) {
    await expect(sql.raw(text).execute(db)).rejects.toMatchObject({ code: '25006' })
  }
  expect(await lookAround()).toEqual(untouched)
})

test('SQL in a transaction of the server’s leaves nothing to the next caller', async () => {
  const db = scopedDatabase(pool, scopeOf(attacker, false))
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
    expect(await lookAround()).toEqual(untouched)
  }
})

test('text of a user’s that reads like SQL is stored as it is', async () => {
  const db = scopedDatabase(pool, scopeOf(attacker, false))
  const prompt = `select set_config('role', 'x', false); update pg_settings set u&"x"; pg_advisory_lock(1)`
  const { title } = await db
    .insertInto('app.tasks')
    .values({ title: prompt, prompt })
    .returning('title')
    .executeTakeFirstOrThrow()
  expect(title).toBe(prompt)
})

// A pooler lends one connection to other programs as well, which may not be as careful.
describe('sign_in puts right what another program left on the connection:', () => {
  const left = [
    ['app.credential', 's:00'],
    ['app.organization', 'x'],
    ['search_path', 'app, public'],
    ['row_security', 'off'],
    ['bytea_output', 'escape'],
    ['extra_float_digits', '-3'],
    ['transform_null_equals', 'on'],
    ['IntervalStyle', 'iso_8601'],
    ['TimeZone', 'Asia/Tokyo'],
    ['DateStyle', 'German'],
    ['lock_timeout', '1'],
    ['idle_in_transaction_session_timeout', '0'],
    ['statement_timeout', '4000'],
  ] as const

  test.for(left)('%s', async ([name, value]) => {
    const client = new pg.Client(house.database.directUrls.api)
    await client.connect()
    try {
      await client.query('select set_config($1, $2, false)', [name, value])
      await client.query('begin')
      await client.query({
        text: 'select * from app.sign_in($1, $2, $3, $4, $5)',
        values: [sessionCredential(victim), null, 'any', false, 5_000],
      })
      const { rows } = await client.query(OBSERVATION)
      const seen = JSON.parse(JSON.stringify(rows[0]))
      expect(seen.formats).toEqual(untouched?.formats)
      expect(seen.zone).toEqual(untouched?.zone)
      expect(seen.tasks).toEqual(untouched?.tasks)
      expect(seen.settings[name]).toBe(Object(untouched?.settings)[name])
      // The one that is active in their session.
      const { organizationId } = victim
      expect([seen.credential, seen.organization]).toEqual([sessionCredential(victim), organizationId])
    } finally {
      await client.end()
    }
  })
})
