import { execFileSync } from 'node:child_process'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { emptyDatabase, migrationsOf, rowsOf, tablesOf, writeMigration } from './harness.ts'
import { pushNewest, rebuild } from './rebuild.ts'
import { migrateToLatest } from './runner.ts'

const prepared = async () => {
  const options = {
    url: await emptyDatabase(),
    directory: await migrationsOf({
      '0001_a': ['create table a (id int);', 'drop table a;'],
      '0002_b': ['create table b (id int);', 'drop table b;'],
    }),
  }
  await migrateToLatest(options)
  return options
}

test('a push undoes the newest migration as it was applied and applies its current file', async () => {
  const options = await prepared()
  await writeMigration(options.directory, '0002_b', ['create table bb (id int);', 'drop table bb;'])
  expect(await pushNewest(options)).toEqual({ undone: ['0002_b'], applied: ['0002_b'] })
  expect(await tablesOf(options.url)).toEqual(['a', 'bb'])
  await rename(join(options.directory, '0002_b.sql'), join(options.directory, '0002_renamed.sql'))
  expect(await pushNewest(options)).toEqual({ undone: ['0002_b'], applied: ['0002_renamed'] })
})

test('a push only applies pending migrations if there are any', async () => {
  const options = await prepared()
  await writeMigration(options.directory, '0003_c', ['create table c (id int);', 'drop table c;'])
  expect(await pushNewest(options)).toEqual({ undone: [], applied: ['0003_c'] })
  expect(await pushNewest(options)).toEqual({ undone: ['0003_c'], applied: ['0003_c'] })
})

test('a push refuses an edited older migration and a released one', async () => {
  const options = await prepared()
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', options.directory, ...args], { stdio: 'pipe' })
  git('init', '--quiet')
  git('add', '.')
  git('-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '--quiet', '-m', 'first')
  expect((await pushNewest(options)).undone).toEqual(['0002_b'])
  git('tag', 'v1')
  await expect(pushNewest(options)).rejects.toThrow('0002_b is released (v1 has it)')
  await writeMigration(options.directory, '0001_a', ['create table aa (id int);', ''])
  await expect(pushNewest(options)).rejects.toThrow(
    /db:push can only replace the newest migration:\n.*0001_a\.sql was edited/,
  )
})

test('a rebuild drops everything, in whatever state the files and the database are', async () => {
  const options = await prepared()
  await rowsOf(
    options.url,
    `create schema other; create table other.x (id int); create type mood as enum ('ok');
     create function f() returns mood language sql as 'select null::mood'; create view v as select f() from a;
     create extension pg_trgm; drop table b; create sequence s;`,
  )
  await rm(join(options.directory, '0001_a.sql'))
  expect(await rebuild(options)).toEqual({ applied: ['0002_b'] })
  expect(await tablesOf(options.url)).toEqual(['b'])
  expect(await rowsOf(options.url, "select nspname from pg_namespace where nspname = 'other'")).toEqual([])
})
