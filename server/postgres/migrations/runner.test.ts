import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { emptyDatabase, migrationsOf, rowsOf, tablesOf, writeMigration } from './harness.ts'
import {
  dryRun,
  expectedMigrations,
  migrate,
  migrateToLatest,
  readAppliedMigrations,
  schemaProblem,
} from './runner.ts'

const three = () =>
  migrationsOf({
    '0001_a': ['create table a (id int);', 'drop table a;'],
    '0002_b': ['create table b (id int);', 'drop table b;'],
    '0003_c': ['create table c (id int);', 'drop table c;'],
  })

const appliedOf = async (url: string) => {
  const client = new Client(url)
  await client.connect()
  try {
    return await readAppliedMigrations(client)
  } finally {
    await client.end()
  }
}

test('a database migrates up by one, to the latest, down by one and to nothing', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  expect(await migrate(options, { kind: 'next' })).toEqual({ applied: ['0001_a'], undone: [] })
  expect(await migrateToLatest(options)).toEqual({ applied: ['0002_b', '0003_c'] })
  expect(await migrateToLatest(options)).toEqual({ applied: [] })
  expect(await tablesOf(options.url)).toEqual(['a', 'b', 'c'])
  expect(await migrate(options, { kind: 'previous' })).toEqual({ applied: [], undone: ['0003_c'] })
  expect(await migrate(options, { kind: 'nothing' })).toEqual({ applied: [], undone: ['0002_b', '0001_a'] })
  expect(await tablesOf(options.url)).toEqual([])
  expect(await migrate(options, { kind: 'previous' })).toEqual({ applied: [], undone: [] })
})

test('a database goes to a named migration from below and from above', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  expect((await migrate(options, { kind: 'to', name: '0002_b' })).applied).toEqual(['0001_a', '0002_b'])
  await migrateToLatest(options)
  expect((await migrate(options, { kind: 'to', name: '1' })).undone).toEqual(['0003_c', '0002_b'])
  expect(await migrate(options, { kind: 'to', name: '0001_a.sql' })).toEqual({ applied: [], undone: [] })
  await expect(migrate(options, { kind: 'to', name: '0009_z' })).rejects.toThrow(
    'there is no migration "0009_z"; there are 0001_a, 0002_b, 0003_c',
  )
})

test('a rollback undoes the last run, and the next rollback the run before', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  await migrate(options, { kind: 'next' })
  await migrateToLatest(options)
  expect((await migrate(options, { kind: 'batch' })).undone).toEqual(['0003_c', '0002_b'])
  expect((await migrate(options, { kind: 'batch' })).undone).toEqual(['0001_a'])
  expect((await migrate(options, { kind: 'batch' })).undone).toEqual([])
})

test('a dry run runs the statements and leaves nothing, not even its own table', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  const steps = await dryRun(options, { kind: 'latest' })
  expect(steps[1]).toEqual({ direction: 'up', name: '0002_b', sql: 'create table b (id int);' })
  expect(await rowsOf(options.url, "select to_regclass('public.rowhouse_migrations') as ledger")).toEqual([
    { ledger: null },
  ])
  await writeMigration(options.directory, '0004_bad', ['insert into nowhere values (1);', ''])
  await expect(dryRun(options, { kind: 'latest' })).rejects.toThrow(
    /0004_bad\.sql:4: .*nowhere(.|\n)*the dry run was rolled back/,
  )
  expect(await tablesOf(options.url)).toEqual([])
})

test('a dry run finds errors that otherwise only a commit finds', async () => {
  const directory = await migrationsOf({
    '0001_a': [
      'create table a (id int primary key);\ncreate table b (id int references a deferrable initially deferred);\ninsert into b values (1);',
      '',
    ],
  })
  await expect(dryRun({ url: await emptyDatabase(), directory }, { kind: 'latest' })).rejects.toThrow('23503')
})

test('a dry run refuses a file without a transaction before it runs anything', async () => {
  const directory = await migrationsOf({ '0001_a': ['select 1;', ''], '!0002_b': ['select 2;', ''] })
  await expect(dryRun({ url: await emptyDatabase(), directory }, { kind: 'latest' })).rejects.toThrow(
    '0002_b.sql has "-- rowhouse: no transaction", so it can not be dry run',
  )
})

test('an edited file and a missing file are refused by name, up and down', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  await migrate(options, { kind: 'to', name: '2' })
  await writeMigration(options.directory, '0001_a', ['create table a (id bigint);', 'drop table a;'])
  await rm(join(options.directory, '0002_b.sql'))
  for (const kind of ['latest', 'previous', 'nothing'] as const) {
    await expect(migrate(options, { kind })).rejects.toThrow(
      /0001_a\.sql was edited after it was applied(.|\n)*0002_b is applied, but its file 0002_b\.sql is missing/,
    )
  }
  expect(await tablesOf(options.url)).toEqual(['a', 'b'])
})

test('a new file that sorts before an applied one is refused by name', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  await rm(join(options.directory, '0002_b.sql'))
  await migrateToLatest(options)
  await writeMigration(options.directory, '0002_late', ['select 1;', ''])
  await expect(migrateToLatest(options)).rejects.toThrow(
    /0002_late\.sql is new and sorts before 0003_c, which is applied: give it a higher number/,
  )
})

test('a database with other migrations is refused in one sentence that says how to move its rows', async () => {
  const url = await emptyDatabase()
  await migrateToLatest({ url, directory: await three() })
  const directory = await migrationsOf({
    '0001_x': ['create table x (id int);', 'drop table x;'],
    '0004_y': ['create table y (id int);', 'drop table y;'],
  })
  const sentence =
    'the database has 3 applied migrations that are not among the files, the last one 0003_c: create a new database with ' +
    'npx kysely-migrate up --latest, and copy the rows into it with pg_dump --data-only, as docs/operating.md says under "Migrations"'
  for (const kind of ['latest', 'previous', 'nothing'] as const) {
    await expect(migrate({ url, directory }, { kind })).rejects.toMatchObject({
      code: 'other_migrations',
      message: sentence,
    })
  }
  await expect(dryRun({ url, directory }, { kind: 'latest' })).rejects.toThrow(sentence)
  expect(schemaProblem(await appliedOf(url), await expectedMigrations(directory))).toBe(sentence)
  expect(await tablesOf(url)).toEqual(['a', 'b', 'c'])
})

test('an error has file, line, excerpt and caret of the failing statement, and its file is rolled back', async () => {
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int);', 'drop table a;'],
    '0002_b': ['create table b (id int);\n\ninsert into b (\n  -- ü€𝄞\n  id, nosuch\n) values (1, 2);', ''],
  })
  const url = await emptyDatabase()
  const error = await migrateToLatest({ url, directory }).catch((failure: unknown) => failure)
  expect(error).toMatchObject({ code: 'statement_failed', line: 8, file: join(directory, '0002_b.sql') })
  expect(String(error)).toContain(
    `0002_b.sql:8: column "nosuch" of relation "b" does not exist (42703)\n  8 |   id, nosuch\n    |       ^`,
  )
  expect(String(error)).toContain('the transaction of 0002_b was rolled back')
  expect(await tablesOf(url)).toEqual(['a'])
  expect((await appliedOf(url)).map(row => row.name)).toEqual(['0001_a'])
})

test('a password in a failing statement is not printed', async () => {
  const directory = await migrationsOf({ '0001_a': ["alter role nobody_at_all password 'hunter2';", ''] })
  const error = await migrateToLatest({ url: await emptyDatabase(), directory }).catch(String)
  expect(error).toContain('nobody_at_all')
  expect(error).not.toContain('hunter2')
})

test('settings of one file do not affect the next', async () => {
  const directory = await migrationsOf({
    '0001_a': ["create schema other; set search_path = other; set statement_timeout = '1ms';", ''],
    '0002_b': ['select pg_sleep(0.05); create table b (id int);', 'drop table b;'],
  })
  const url = await emptyDatabase()
  await migrateToLatest({ url, directory })
  expect(await tablesOf(url)).toEqual(['b'])
})

test('two runners at once both succeed, each migration is applied once, and the waiting one prints the pid', async () => {
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int); select pg_sleep(0.5);', ''],
    '!0002_b': ['create index concurrently b on a (id);', ''],
  })
  const url = await emptyDatabase()
  const lines: string[] = []
  const log = (line: string) => lines.push(line)
  const results = await Promise.all([
    migrateToLatest({ url, directory, log }),
    migrateToLatest({ url, directory, log }),
    migrateToLatest({ url, directory, log }),
  ])
  expect(results.flatMap(result => result.applied).sort()).toEqual(['0001_a', '0002_b'])
  expect(lines.filter(line => /^another migration is running, pid \d+/.test(line))).not.toHaveLength(0)
})

test('an aborted run rolls back its open file and releases the lock', async () => {
  const directory = await migrationsOf({ '0001_a': ['create table a (id int); select pg_sleep(60);', ''] })
  const url = await emptyDatabase()
  const abort = new AbortController()
  const refused = expect(migrateToLatest({ url, directory, signal: abort.signal })).rejects.toThrow(
    /^interrupted; the transaction of 0001_a/,
  )
  const sleeping = `select 1 from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and state = 'active' and query ~ 'pg_sleep'`
  await expect.poll(() => rowsOf(url, sleeping), { timeout: 10_000 }).toHaveLength(1)
  abort.abort()
  await refused
  await writeMigration(directory, '0001_a', ['create table b (id int);', ''])
  expect(await migrateToLatest({ url, directory })).toEqual({ applied: ['0001_a'] })
  expect(await tablesOf(url)).toEqual(['b'])
})

test('schemaProblem says how the schema differs from the expected one, and which command repairs it', async () => {
  const options = { url: await emptyDatabase(), directory: await three() }
  const expected = await expectedMigrations(options.directory)
  expect(schemaProblem([], expected)).toBe(
    'the database is at nothing, the code expects 0003_c; run npx kysely-migrate up --latest',
  )
  await migrateToLatest(options)
  const applied = await appliedOf(options.url)
  expect(schemaProblem(applied, expected)).toBeNull()
  expect(schemaProblem(applied, expected.slice(0, 2))).toContain('deploy the code that has 0003_c.sql')
  const edited = expected.map(migration => ({ ...migration, checksum: 'other' }))
  expect(schemaProblem(applied, edited)).toContain('0001_a.sql differs from the file that was applied')
})
