import { expect, test } from 'vitest'
import { emptyDatabase, migrationsOf, rowsOf, tablesOf, writeMigration } from './harness.ts'
import { type MigrateOptions, migrate, migrateToLatest } from './runner.ts'

/** Starts a run and ends its connection, as a kill does, once the query `sql` returns a row. */
async function interruptWhen(options: MigrateOptions, sql: string): Promise<void> {
  const abort = new AbortController()
  const run = migrateToLatest({ ...options, signal: abort.signal }).catch(String)
  while ((await rowsOf(options.url, sql)).length === 0) await new Promise(resolve => setTimeout(resolve, 50))
  abort.abort()
  expect(await run).toContain('interrupted')
}

const isSleeping =
  "select from pg_stat_activity where datname = current_database() and query like '%pg_sleep%' and pid <> pg_backend_pid() and state = 'active'"

test('a file without a transaction runs statements that refuse one, and can be undone', async () => {
  const directory = await migrationsOf({
    '!0001_a': [
      'create table a (id int);\ncreate index concurrently a_id_idx on a (id);\nvacuum a;',
      'drop index concurrently a_id_idx;\ndrop table a;',
    ],
  })
  const url = await emptyDatabase()
  expect(await migrateToLatest({ url, directory })).toEqual({ applied: ['0001_a'] })
  expect(await migrate({ url, directory }, { kind: 'nothing' })).toEqual({ applied: [], undone: ['0001_a'] })
  expect(await tablesOf(url)).toEqual([])
})

test('a failure in the middle says which statements stay, and a repaired file continues from there', async () => {
  const directory = await migrationsOf({
    '!0001_a': [
      'create table a (id int);\nselect nosuch;\ncreate table b (id int);',
      'drop table b; drop table a;',
    ],
    '0002_c': ['create table c (id int);', 'drop table c;'],
  })
  const url = await emptyDatabase()
  await expect(migrateToLatest({ url, directory })).rejects.toThrow(
    /0001_a\.sql:6: (.|\n)*1 of its 3 statements are applied and stay; repair the cause and run up again: it continues with statement 2/,
  )
  expect(await tablesOf(url)).toEqual(['a'])

  await writeMigration(directory, '!0001_a', ['create table a (id bigint);\nselect 1;', 'drop table a;'])
  await expect(migrateToLatest({ url, directory })).rejects.toThrow(
    '1 of its statements are applied already and were edited',
  )

  const lines: string[] = []
  await writeMigration(directory, '!0001_a', [
    'create table a (id int);\nselect 1;\ncreate table b (id int);',
    'drop table b; drop table a;',
  ])
  await migrateToLatest({ url, directory, log: line => lines.push(line) })
  expect(lines[0]).toBe('0001_a was only partly applied: continuing with statement 2')
  expect(await tablesOf(url)).toEqual(['a', 'b', 'c'])
})

test('a partly applied file can be undone instead', async () => {
  const directory = await migrationsOf({
    '!0001_a': ['create table a (id int);\nselect nosuch;', 'drop table if exists b;\ndrop table a;'],
  })
  const url = await emptyDatabase()
  await expect(migrateToLatest({ url, directory })).rejects.toThrow('nosuch')
  expect((await migrate({ url, directory }, { kind: 'previous' })).undone).toEqual(['0001_a'])
  expect(await tablesOf(url)).toEqual([])
})

test('a partly undone file can not be applied until it is undone', async () => {
  const down = (last: string) => `drop table a;\n${last}`
  const directory = await migrationsOf({ '!0001_a': ['create table a (id int);', down('select nosuch;')] })
  const url = await emptyDatabase()
  await migrateToLatest({ url, directory })
  await expect(migrate({ url, directory }, { kind: 'previous' })).rejects.toThrow(
    '1 of its 2 statements are undone',
  )
  await expect(migrateToLatest({ url, directory })).rejects.toThrow('0001_a is partly undone')
  await writeMigration(directory, '!0001_a', ['create table a (id int);', down('select 1;')])
  expect((await migrate({ url, directory }, { kind: 'previous' })).undone).toEqual(['0001_a'])
  expect((await migrateToLatest({ url, directory })).applied).toEqual(['0001_a'])
})

test('after a kill inside a statement, the next run repeats only that statement', async () => {
  const directory = await migrationsOf({
    '!0001_a': [
      `create table a (id int);\ninsert into a values (1);\ndo 'begin perform pg_sleep((select 1 - count(*) from b) * 60); end';`,
      '',
    ],
  })
  const url = await emptyDatabase()
  await rowsOf(url, 'create table b (id int)')
  await interruptWhen({ url, directory }, isSleeping)
  await rowsOf(url, 'insert into b values (1)')
  await migrateToLatest({ url, directory })
  expect(await rowsOf(url, 'select id from a')).toEqual([{ id: 1 }])
})

test('the next run rebuilds an index that a killed run left invalid', async () => {
  const directory = await migrationsOf({
    '!0001_a': ['create index concurrently if not exists a_slow_idx on a (slow(id));', ''],
  })
  const url = await emptyDatabase()
  await rowsOf(
    url,
    `create table a (id int);
     insert into a values (1);
     create table pace (seconds int);
     insert into pace values (60);
     create function slow(id int) returns int language plpgsql immutable as
       $$ begin perform pg_sleep((select seconds from public.pace)); return id; end $$;`,
  )
  await interruptWhen({ url, directory }, 'select from pg_index where not indisvalid')
  await rowsOf(url, 'update pace set seconds = 0')
  const lines: string[] = []
  await migrateToLatest({ url, directory, log: line => lines.push(line) })
  expect(lines).toContain('dropped public.a_slow_idx, which an interrupted run left invalid')
  expect(
    await rowsOf(url, "select indisvalid from pg_index where indexrelid = 'a_slow_idx'::regclass"),
  ).toEqual([{ indisvalid: true }])
})

test('a statement that a killed run completed without recording it counts as done', async () => {
  const directory = await migrationsOf({
    '!0001_a': ['create index concurrently a_id_idx on a (id);\nselect nosuch;', ''],
  })
  const url = await emptyDatabase()
  await rowsOf(url, 'create table a (id int)')
  await expect(migrateToLatest({ url, directory })).rejects.toThrow('1 of its 2')
  await writeMigration(directory, '!0001_a', ['create index concurrently a_id_idx on a (id);\nselect 1;', ''])
  const untold = "encode(sha256(''), 'hex')"
  await rowsOf(url, `update rowhouse_migrations set statements_done = 0, checksum = ${untold}`)
  expect((await migrateToLatest({ url, directory })).applied).toEqual(['0001_a'])
})
