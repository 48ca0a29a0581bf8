import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { readCatalog, renderCatalog } from './catalog.ts'
import { generateFiles, writeFiles } from './codegen.ts'
import { emptyDatabase, migrationsOf, rowsOf } from './harness.ts'
import { migrate, migrateToLatest } from './runner.ts'
import { withScratchDatabase } from './scratch.ts'
import { verify } from './verify.ts'

const up = `
create schema app;
comment on schema app is 'It''s ours.';
create type app.mood as enum ('ok', 'bad');
create function app.me() returns int language sql stable security definer set search_path = pg_catalog, pg_temp as 'select 1';
revoke execute on function app.me() from public;
create table app.parents (id int generated always as identity, name text not null default 'a''b', primary key (id));
create table app.children (
  id bigint primary key,
  parent_id int references app.parents (id) on delete cascade,
  mood app.mood,
  label text generated always as ('l' || id::text) stored,
  day date,
  constraint children_id_check check (id in (1, 2) or id > 10)
);
comment on column app.children.day is 'A day.';
create index children_parent_id_idx on app.children (parent_id) where id > 0;
alter table app.children enable row level security;
create policy select_owner on app.children for select to rowhouse_test using (id = (select app.me()));
create policy select_parent on app.parents for select to rowhouse_test using (exists (select from app.children c where c.parent_id = parents.id));
grant select, update (mood) on app.children to rowhouse_test;
grant all on app.parents to rowhouse_test;
create function app.all_children() returns setof app.children language sql stable as 'select * from app.children';
create function app.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on app.children for each row execute function app.touch();
create view app.seen with (security_invoker = on) as select id from app.children;
alter default privileges in schema app grant select on tables to rowhouse_test;`

const roles =
  'do $$ begin create role rowhouse_test; exception when duplicate_object or unique_violation then null; end $$'

async function prepared() {
  const url = await emptyDatabase()
  await rowsOf(url, roles)
  const directory = await migrationsOf({
    '0001_a': [up, 'drop schema app cascade;'],
    '0002_b': ['create table app.more (id int);', 'drop table app.more;'],
  })
  return { url, directory, typesFile: join(directory, 'types.ts') }
}

const dump = async (url: string) => {
  const client = new Client(url)
  await client.connect()
  try {
    return renderCatalog(await readCatalog(client))
  } finally {
    await client.end()
  }
}

test('up, down to nothing and up again gives an identical dump, and nothing gives an empty one', async () => {
  const options = await prepared()
  const empty = await dump(options.url)
  await migrateToLatest(options)
  const first = await dump(options.url)
  await migrate(options, { kind: 'nothing' })
  expect(await dump(options.url)).toBe(empty)
  await migrateToLatest(options)
  expect(await dump(options.url)).toBe(first)
})

test('the dump names no owner and builds an identical database', async () => {
  const options = await prepared()
  await migrateToLatest(options)
  const text = await dump(options.url)
  const [owner] = await rowsOf(options.url, 'select current_user as name')
  expect(text).not.toContain(` ${owner?.name}`)
  expect(text).toContain('grant all on app.parents to rowhouse_test;')
  const copy = await emptyDatabase()
  await rowsOf(copy, text)
  expect(await dump(copy)).toBe(text)
})

test('generated files are written once, and are current from then on', async () => {
  const options = await prepared()
  const written = await writeFiles(await generateFiles(options))
  const { directory, typesFile } = options
  expect(written).toEqual([
    join(directory, 'schema.sql'),
    typesFile,
    ...['rows.ts', 'values.ts', 'trigger-list.ts'].map(name => join(dirname(typesFile), name)),
  ])
  expect(await writeFiles(await generateFiles(options))).toEqual([])
  const types = await readFile(options.typesFile, 'utf8')
  expect(types).toContain('"app.children": AppChildren')
  expect(types).toMatch(/day: string \| null/)
  expect(types).toMatch(/\bid: number\b/)
})

test('verify passes for a current checkout, with and without a migrated database', async () => {
  const options = await prepared()
  await writeFiles(await generateFiles(options))
  const names = async () => (await verify(options)).map(check => [check.name, check.ok, check.problems])
  const always = [
    ['files', true, []],
    ['undo', true, []],
    ['generated', true, []],
  ]
  expect(await names()).toEqual(always)
  await migrate(options, { kind: 'next' })
  expect(await names()).toEqual([...always, ['database', true, []]])
})

test('verify names each object of the database that differs', async () => {
  const options = await prepared()
  await migrateToLatest(options)
  await rowsOf(
    options.url,
    `alter table app.children disable row level security;
     drop policy select_owner on app.children;
     create index extra_idx on app.parents (name);
     alter table app.parents add column note text;
     grant insert on app.children to rowhouse_test;
     grant execute on function app.me() to public;`,
  )
  const drift = (await verify(options)).find(check => check.name === 'database')
  expect(drift?.ok).toBe(false)
  expect(drift?.problems.filter(line => !line.startsWith('  ')).sort()).toEqual([
    'function app.me() is different',
    'grants on app.children is different',
    'index app.extra_idx is in no migration',
    'policy select_owner on app.children is missing',
    'row-level security of app.children is missing',
    'table app.parents is different',
  ])
  expect(drift?.problems).toContain('  + note text,')
})

test('verify names the objects that a down part leaves, and the generated files that are not current', async () => {
  const url = await emptyDatabase()
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int); create table b (id int);', 'drop table a;'],
  })
  const options = { url, directory, typesFile: join(directory, 'types.ts') }
  await writeFile(join(directory, 'schema.sql'), 'old')
  const checks = await verify(options)
  expect(checks.find(check => check.name === 'undo')?.problems[0]).toBe(
    'table public.b is left after everything was undone',
  )
  expect(checks.find(check => check.name === 'generated')?.problems).toContain(
    `${join(directory, 'schema.sql')} is not current`,
  )
})

test('verify names the down part that restores an object wrongly, though an earlier one drops it', async () => {
  const url = await emptyDatabase()
  const me = (id: number) =>
    `create or replace function public.me() returns int language sql as 'select ${id}';`
  const directory = await migrationsOf({
    '0001_a': [me(1), 'drop function public.me();'],
    '0002_b': [`${me(2)} create table b (id int);`, `${me(3)} drop table b;`],
    '0003_c': ['create table c (id int);', 'drop table c;'],
  })
  const checks = await verify({ url, directory, typesFile: join(directory, 'types.ts') })
  expect(checks.find(check => check.name === 'undo')?.problems.slice(0, 2)).toEqual([
    '0002_b does not undo what it did:',
    'function public.me() is different',
  ])
})

test('verify names the down part that makes an earlier one fail', async () => {
  const url = await emptyDatabase()
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int);', 'drop table a;'],
    '0002_b': ['create table b (id int);', 'drop table b;'],
    '0003_c': ['create table c (id int);', 'drop table c; drop table b;'],
  })
  const checks = await verify({ url, directory, typesFile: join(directory, 'types.ts') })
  expect(checks.find(check => check.name === 'undo')?.problems).toEqual([
    '0003_c does not undo what it did:',
    'table public.b is missing',
    expect.stringContaining('table "b" does not exist'),
  ])
})

test('a scratch database is dropped, even if the work in it fails', async () => {
  const url = await emptyDatabase()
  const names: string[] = []
  const work = async (scratch: string) => {
    const [row] = await rowsOf(scratch, 'select current_database() as name')
    names.push(String(row?.name))
    if (names.length === 2) throw new Error('failed')
  }
  await withScratchDatabase(url, work)
  await expect(withScratchDatabase(url, work)).rejects.toThrow('failed')
  expect(names).toHaveLength(2)
  expect(await rowsOf(url, `select from pg_database where datname in ('${names.join("', '")}')`)).toEqual([])
})

test('a missing file is named, even if the others do not build without it', async () => {
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int primary key);', 'drop table a;'],
    '0002_b': ['create table b (id int references a);', 'drop table b;'],
  })
  const url = await emptyDatabase()
  await migrateToLatest({ url, directory })
  await rm(join(directory, '0001_a.sql'))
  const [files, ...others] = await verify({ url, directory, typesFile: join(directory, 'types.ts') })
  expect(files).toMatchObject({ name: 'files', ok: false })
  expect(files?.problems).toEqual([
    expect.stringContaining('0001_a.sql is missing'),
    expect.stringMatching(/0002_b\.sql:\d+: relation "a" does not exist/),
  ])
  expect(others).toEqual([])
})
