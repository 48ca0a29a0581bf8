import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, openOwnerPool, type TestDatabase } from '#server/testing/database.ts'
import { getAllTriggerNames, getTriggerMetadata, getTriggersForTable } from './triggers.ts'

interface CatalogTrigger {
  name: string
  table: string
  timing: string
  events: string[]
  function: string
}

// Bits of pg_trigger.tgtype:
// https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_trigger.h
const READ_TRIGGERS = `
select
  t.tgname::text as name,
  format('%I.%I', n.nspname, c.relname) as table,
  case when t.tgtype & 2 > 0 then 'before' else 'after' end as timing,
  array_remove(array[
    case when t.tgtype & 4 > 0 then 'insert' end,
    case when t.tgtype & 16 > 0 then 'update' end,
    case when t.tgtype & 8 > 0 then 'delete' end
  ], null) as events,
  format('%I.%I', fn.nspname, f.proname) as function
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_proc f on f.oid = t.tgfoid
join pg_namespace fn on fn.oid = f.pronamespace
where not t.tgisinternal and n.nspname in ('app', 'auth')
order by 2, 1`

let database: TestDatabase
let triggers: CatalogTrigger[]

beforeAll(async () => {
  database = await createTestDatabase()
  const owner = openOwnerPool(database)
  triggers = (await owner.query<CatalogTrigger>(READ_TRIGGERS)).rows
  await owner.end()
})
afterAll(() => database.drop())

it('lists the triggers of the schema, with table, event and function from the catalog', () => {
  expect(getAllTriggerNames().toSorted()).toEqual(triggers.map(trigger => trigger.name).toSorted())
  for (const trigger of triggers) {
    const { name, table, timing, events, function: runs } = getTriggerMetadata(trigger.name) ?? {}
    expect({ name, table, timing, events, function: runs }).toEqual(trigger)
  }
})

it('describes each trigger and its reason', () => {
  for (const name of getAllTriggerNames()) {
    const { description, businessReason } = getTriggerMetadata(name) ?? {}
    expect(description, name).toMatch(/^[A-Z].*\.$/)
    expect(businessReason, name).toMatch(/^[A-Z].*\.$/)
  }
})

it('finds the triggers of a table, by its name with or without the schema', () => {
  const names = triggers.filter(trigger => trigger.table === 'app.content').map(trigger => trigger.name)
  for (const table of ['app.content', 'content']) {
    expect(
      getTriggersForTable(table)
        .map(trigger => trigger.name)
        .toSorted(),
    ).toEqual(names.toSorted())
  }
  expect(getTriggersForTable('app.nothing')).toEqual([])
  expect(getTriggerMetadata('nothing')).toBeUndefined()
})

it('has the one that unpublishes content that leaves its organization', () => {
  expect(getTriggerMetadata('trigger_unpublish_on_org_delete')).toMatchObject({
    table: 'app.content',
    timing: 'before',
    events: ['update'],
    function: 'app.unpublish_content_on_org_delete',
  })
})
