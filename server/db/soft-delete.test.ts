import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'

// Tests app.follow_deletion on three levels of tables that only this test has.

let database: TestDatabase
let client: pg.Client

const TREE = `
create table app.teams (id int primary key, deleted_at timestamptz, deletion_id uuid);
create table app.shelves (id int primary key, team_id int, user_id uuid, deleted_at timestamptz, deletion_id uuid);
create table app.books (id int primary key, shelf_id int, user_id uuid, deleted_at timestamptz, deletion_id uuid);
create trigger teams_remove_shelves after update on app.teams
  for each row when (old.deletion_id is distinct from new.deletion_id)
  execute function app.follow_deletion('app.shelves', 'team_id');
create trigger shelves_remove_books after update on app.shelves
  for each row when (old.deletion_id is distinct from new.deletion_id)
  execute function app.follow_deletion('app.books', 'shelf_id', 'user_id');`

const ADA = '0198c0de-0000-7000-8000-00000000000a'
const BOB = '0198c0de-0000-7000-8000-00000000000b'

beforeAll(async () => {
  database = await createTestDatabase()
  client = new pg.Client(database.ownerUrl)
  await client.connect()
  await client.query(TREE)
})
afterAll(async () => {
  await client.end()
  await database.drop()
})

beforeEach(async () => {
  await client.query('truncate app.teams, app.shelves, app.books')
  await client.query('insert into app.teams values (1), (2)')
  await client.query('insert into app.shelves values (11, 1, $1), (12, 1, $1), (21, 2, $1)', [ADA])
  // The last row is another user's, with a shelf of the same number.
  await client.query(
    'insert into app.books values (111, 11, $1), (112, 11, $1), (121, 12, $1), (211, 21, $1), (119, 11, $2)',
    [ADA, BOB],
  )
})

type Kind = 'teams' | 'shelves' | 'books'

async function remove(kind: Kind, ...ids: number[]): Promise<void> {
  await client.query(
    `update app.${kind} set deleted_at = now(), deletion_id = app.new_id() where id = any ($1) and deleted_at is null`,
    [ids],
  )
}

async function restore(kind: Kind, ...ids: number[]): Promise<void> {
  await client.query(`update app.${kind} set deleted_at = null, deletion_id = null where id = any ($1)`, [
    ids,
  ])
}

/** The numbers of the removed rows. */
async function removed(): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(
    `select id from app.teams where deletion_id is not null
     union all select id from app.shelves where deletion_id is not null
     union all select id from app.books where deletion_id is not null order by 1`,
  )
  return rows.map(row => row.id)
}

it('a removal also removes all rows below, under one id, and no others', async () => {
  await remove('teams', 1)
  expect(await removed()).toEqual([1, 11, 12, 111, 112, 121])
  const { rows } = await client.query(
    `select distinct deletion_id, deleted_at from (
       select deletion_id, deleted_at from app.teams union all select deletion_id, deleted_at from app.shelves
       union all select deletion_id, deleted_at from app.books
     ) all_rows where deletion_id is not null`,
  )
  expect(rows).toHaveLength(1)
})

it('restoring restores exactly the rows of the removal, at every level', async () => {
  await remove('books', 111)
  await remove('shelves', 12)
  await remove('teams', 1)
  expect(await removed()).toEqual([1, 11, 12, 111, 112, 121])
  await restore('teams', 1)
  expect(await removed()).toEqual([12, 111, 121])
  await restore('shelves', 12)
  expect(await removed()).toEqual([111])
  await restore('books', 111)
  expect(await removed()).toEqual([])
})

it('several trees that one statement removes can be restored separately', async () => {
  await remove('teams', 1, 2)
  expect(await removed()).toEqual([1, 2, 11, 12, 21, 111, 112, 121, 211])
  await restore('teams', 2)
  expect(await removed()).toEqual([1, 11, 12, 111, 112, 121])
  await restore('teams', 1)
  expect(await removed()).toEqual([])
})

it('a change that neither removes nor restores leaves dependent rows unchanged', async () => {
  await remove('shelves', 11)
  await client.query('update app.teams set id = id')
  await client.query('update app.shelves set team_id = team_id')
  expect(await removed()).toEqual([11, 111, 112])
})
