import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  assertIsolated,
  findIsolationProblems,
  IsolationError,
  warningsAbout,
} from '#server/postgres/isolation.ts'
import { createTestDatabase, type TestDatabase } from '../database.ts'
import { DEFECTS_OF_RIGHTS } from './defects.ts'
import { DEFECTS_OF_RULES } from './defects-of-rules.ts'

// Each defect is planted in a transaction that is rolled back, and looked for inside it.

let database: TestDatabase
let superuser: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  superuser = new pg.Client(database.superuserUrl)
  superuser.on('error', () => {})
  await superuser.connect()
})

afterAll(async () => {
  await superuser.end()
  await database.drop()
})

/** What the lint says while the defect is there, with the role that the defects call the owner. */
async function problemsWith(defect: string): Promise<string[]> {
  await superuser.query('begin')
  try {
    await superuser.query(defect)
    const problems = await findIsolationProblems(superuser)
    return problems.map(({ object, problem }) => `${object} ${problem}`)
  } finally {
    await superuser.query('rollback')
  }
}

describe('the lint', () => {
  test('finds nothing in the database as the migrations make it, read as each login', async () => {
    for (const url of Object.values(database.directUrls)) {
      const client = new pg.Client(url)
      await client.connect()
      const problems = await findIsolationProblems(client)
      await client.end()
      expect(problems).toEqual([])
    }
  })

  test('throws one error that names every object and what mends it', async () => {
    await superuser.query('begin')
    await superuser.query(
      'alter table app.tasks disable row level security; drop policy select_owner on app.settings',
    )
    const error = await assertIsolated(superuser).catch(thrown => thrown)
    await superuser.query('rollback')
    expect(error).toBeInstanceOf(IsolationError)
    expect(error.message).toContain('app.tasks has row-level security off')
    expect(error.message).toContain('repair it with: alter table app.tasks enable row level security')
    expect(error.message).toContain(
      'app.settings lets rowhouse_api select, and no policy for select names it',
    )
  })

  // What looks like a defect and is none: a lint that finds these would be switched off.
  test.for([
    [
      'a view that asks as its reader',
      'create view app.mine with (security_invoker = true) as select * from app.tasks; grant select on app.mine to rowhouse_api',
    ],
    [
      'the same in other words',
      'create view app.mine with (security_invoker = on) as select * from app.tasks; grant select on app.mine to rowhouse_api',
    ],
    ['a view that nobody may read', 'create view app.all_tasks as select * from app.tasks'],
    [
      'a unique hash',
      'alter table app.settings add column x_hash bytea; create unique index lint_hash on app.settings (x_hash)',
    ],
    [
      'a foreign key with its owner',
      'alter table app.settings add column task_id uuid; alter table app.settings add foreign key (user_id, task_id) references app.tasks (user_id, id)',
    ],
    [
      'a foreign key with its organization',
      'alter table app.tasks add column provider_id uuid; alter table app.tasks add foreign key (organization_id, provider_id) references app.ai_provider_configs (organization_id, id)',
    ],
    [
      'a large object of a login’s',
      'grant execute on function lo_create(oid) to rowhouse_api; set local role rowhouse_api; select lo_create(0); reset role',
    ],
    ['a table of another schema', 'create table public.notes (id int)'],
  ] as const)('finds nothing in %s', async ([, change]) => {
    expect(await problemsWith(change)).toEqual([])
  })

  test.for([...DEFECTS_OF_RIGHTS, ...DEFECTS_OF_RULES])('finds %s', async ([, defect, finding]) => {
    expect((await problemsWith(defect)).join('\n')).toContain(finding)
  })
})

test('one function digests a credential, and one decides whether an API token is live', async () => {
  const functionsWith = async (text: string) => {
    const { rows } = await superuser.query(
      `select oid::regproc::text as name from pg_proc
       where pronamespace in ('app'::regnamespace, 'auth'::regnamespace) and strpos(pg_get_functiondef(oid), $1) > 0`,
      [text],
    )
    return rows.map(({ name }) => name)
  }
  expect(await functionsWith('sha256(decode(')).toEqual(['app.credential_digest'])
  expect(await functionsWith('grace_until')).toEqual(['app.is_live'])
})

test('a server with CVE-2026-120154 is warned about, and one that is mended is not', () => {
  const warnings = (version: number) =>
    warningsAbout({ version, database: 'app', encoding: 'UTF8', ctype: 'C.UTF-8', foldsCase: true })
  for (const version of [180_004, 170_011, 160_015, 150_019]) {
    expect(warnings(version).join()).toContain('CVE-2026-120154')
  }
  for (const version of [180_007, 170_012, 160_016, 150_020, 190_000]) expect(warnings(version)).toEqual([])
})
