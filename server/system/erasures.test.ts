import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eraseEverything } from '#server/rooms/account/erasure-fixture.ts'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'

// The order in which a removal's rows are deleted comes from the catalog, and covers every table that
// references the removed row.

let house: House
let owner: pg.Pool

beforeAll(async () => {
  house = await openHouse()
  owner = house.owner
})
afterAll(() => house.close())

interface Step {
  step: string
  target: string
  columns: string[]
  cleared: string[] | null
}

async function stepsOf(parent: string, columns: string[]): Promise<Step[]> {
  const { rows } = await owner.query<Step>(
    'select step, target::text, columns, cleared from app.erasure_steps($1::regclass, $2)',
    [parent, columns],
  )
  return rows
}

const PARENTS: [string, string[]][] = [
  ['auth.users', ['id']],
  ['auth.organizations', ['id']],
  ['auth.members', ['organization_id', 'user_id']],
  ['app.connections', ['user_id', 'id']],
]

it('every table with a user or an organization is deleted with it', async () => {
  const { rows } = await owner.query<{ table: string; column: string }>(
    `select format('%I.%I', table_schema, table_name) as table, column_name as column
     from information_schema.columns
     where table_schema in ('app', 'auth') and column_name in ('user_id', 'organization_id')`,
  )
  const covered = [
    ...(await stepsOf('auth.users', ['id'])),
    ...(await stepsOf('auth.organizations', ['id'])),
  ].map(({ target, columns }) => `${target} ${columns}`)
  expect(rows.map(({ table, column }) => `${table} ${column}`).filter(row => !covered.includes(row))).toEqual(
    [],
  )
})

it.each(PARENTS)(
  'rows that reference %s are deleted by an index, and before the rows that they reference',
  async (parent, columns) => {
    const steps = await stepsOf(parent, columns)
    const { rows: indexes } = await owner.query<{ table: string; columns: string[] }>(
      `select i.indrelid::regclass::text as table,
       array(select pg_get_indexdef(i.indexrelid, n, true) from generate_series(1, i.indnkeyatts) n) as columns
     from pg_index i`,
    )
    for (const { target, columns } of steps) {
      const leads = indexes.some(
        index =>
          index.table === target &&
          index.columns.slice(0, columns.length).toSorted().join() === columns.toSorted().join(),
      )
      // Two columns of a connection's events are enough: the owner's events of one connection.
      expect({ target, columns, leads }).toMatchObject({ leads: true })
    }
    const { rows: references } = await owner.query<{ child: string; parent: string }>(
      `select conrelid::regclass::text as child, confrelid::regclass::text as parent from pg_constraint
     where contype = 'f' and conrelid <> confrelid
     union all select child::text, parent::text from app.slow_references()`,
    )
    const deleted = steps.filter(({ cleared }) => cleared === null).map(({ target }) => target)
    for (const { child, parent } of references) {
      if (!deleted.includes(child) || !deleted.includes(parent)) continue
      expect([child, parent].toSorted((a, b) => deleted.indexOf(a) - deleted.indexOf(b))).toEqual([
        child,
        parent,
      ])
    }
  },
)

it('every row with an organization and an owner follows the membership, except approvals', async () => {
  const { rows } = await owner.query<{ table: string }>(
    `select format('%I.%I', c.table_schema, c.table_name) as table from information_schema.columns c
     where c.table_schema = 'app' and c.column_name = 'organization_id' and exists (
       select from information_schema.columns o
       where o.table_schema = 'app' and o.table_name = c.table_name and o.column_name = 'user_id'
     ) order by 1`,
  )
  const { rows: triggers } = await owner.query<{ table: string }>(
    `select tgrelid::regclass::text as table from pg_trigger
     where tgfoid = 'app.require_membership()'::regprocedure order by 1`,
  )
  const followers = (await stepsOf('auth.members', ['organization_id', 'user_id'])).map(
    ({ target }) => target,
  )
  expect(followers.toSorted()).toEqual(triggers.map(({ table }) => table))
  // Approvals stay with the organization that was asked.
  expect(rows.map(({ table }) => table).filter(table => !followers.includes(table))).toEqual([
    'app.approvals',
  ])
})

it('a new table is deleted with its user without being listed anywhere', async () => {
  await owner.query(`
    create table app.shelves (
      user_id uuid not null references auth.users (id) on delete cascade, id uuid not null default app.new_id(), primary key (user_id, id)
    );
    create table app.books (
      user_id uuid not null, shelf_id uuid not null, page integer not null, primary key (user_id, shelf_id, page),
      foreign key (user_id, shelf_id) references app.shelves (user_id, id) on delete cascade
    )`)
  const steps = (await stepsOf('auth.users', ['id'])).map(({ target }) => target)
  expect(steps.indexOf('app.books')).toBeGreaterThan(-1)
  expect(steps.indexOf('app.books')).toBeLessThan(steps.indexOf('app.shelves'))
  const ada = await createActor(house)
  await owner.query(
    `with shelf as (insert into app.shelves (user_id) values ($1) returning id)
     insert into app.books select $1, shelf.id, n from shelf, generate_series(1, 2500) n`,
    [ada.userId],
  )
  await ada.caller().account.remove()
  expect((await owner.query('select from app.books')).rowCount).toBeGreaterThan(0)
  await eraseEverything(house)
  expect((await owner.query('select from app.books')).rowCount).toBe(0)
  expect((await owner.query('select from app.shelves')).rowCount).toBe(0)
})
