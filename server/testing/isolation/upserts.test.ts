import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPools } from '#server/postgres/pools.ts'
import { type House, testServices } from '../actors.ts'
import { createTestDatabase, openOwnerPool } from '../database.ts'
import { callProcedure, outcomeOf } from './call.ts'
import { createHousehold } from './dataset.ts'
import { bearer, definitionOf } from './matrix.ts'
import { CASES } from './procedure-cases.ts'

// CVE-2026-120154: on servers before 18.7, 17.12, 16.16 and 15.20 the `where` of `on conflict … do update …
// where` is evaluated on rows that row-level security hides. So no upsert has one.

let house: House
const statements: string[] = []

beforeAll(async () => {
  const database = await createTestDatabase()
  // The first to open a database's pools decides who is told of its statements.
  const pools = openPools(database.urls, { onStatement: sql => void statements.push(sql) })
  const owner = openOwnerPool(database)
  house = {
    database,
    services: testServices(database),
    owner,
    async close() {
      await Promise.all([pools.close(), owner.end()])
      await database.drop()
    },
  }
})

afterAll(async () => {
  await house.close()
})

/**
 * The upserts in `sql` that update where something holds. A `where` before `do update` names a partial index
 * and is fine.
 */
function guardedUpserts(sql: string): string[] {
  return [...sql.matchAll(/\bdo\s+update\s+set\b/gi)].flatMap(({ index }) => {
    const words = sql.slice(index).matchAll(/'(?:[^']|'')*'|"[^"]*"|\w+|[();]/g)
    let depth = 0
    for (const { 0: word, index: end } of words) {
      if (word === '(') depth++
      else if (word === ')') depth--
      else if (depth === 0 && /^where$/i.test(word)) return [sql.slice(index, index + end + word.length)]
      if (depth < 0 || (depth === 0 && /^(;|returning)$/i.test(word))) return []
    }
    return []
  })
}

test('an upsert that updates where something holds is recognised', () => {
  for (const sql of [
    'insert into t (a) values (1) on conflict (a) do update set b = 2 where t.b = 1',
    'insert into t (a) values (1) on conflict (a) do update set b = (select 1 where true) WHERE t.b = 1 returning a',
    `insert into t (a) values (1) on conflict (a) do update set b = ';' where t.b = 1`,
    'with x as (insert into t (a) values (1) on conflict (a) do update set (b, c) = (1, 2)\n where t.b = 1) select 1',
  ]) {
    expect(guardedUpserts(sql), sql).toHaveLength(1)
  }
  for (const sql of [
    'insert into t (a) values (1) on conflict (a) where b is null do update set b = 2',
    'insert into t (a) values (1) on conflict (a) do update set b = (select 1 where true)',
    'with x as (insert into t (a) values (1) on conflict (a) do update set b = 2) select 1 from x where true',
    'insert into t (a) values (1) on conflict (a) do update set b = 2 returning (select 1 where true)',
    'insert into t (a) values (1) on conflict (a) do update set b = 2; update t set b = 1 where a = 1',
    'insert into t (a) values (1) on conflict do nothing',
    'update t set b = 1 where a = 1',
  ]) {
    expect(guardedUpserts(sql), sql).toEqual([])
  }
})

test('no migration has one', () => {
  const root = join(import.meta.dirname, '../../..')
  const files = globSync('migrations/*.sql', { cwd: root })
  expect(files.length).toBeGreaterThan(4)
  for (const file of files) expect(guardedUpserts(readFileSync(join(root, file), 'utf8')), file).toEqual([])
})

test('no statement of any procedure has one', async () => {
  for (const [path, cases] of Object.entries(CASES)) {
    for (const { input, owner = 'OK' } of cases) {
      const user = await createHousehold(house, 'User')
      const answer = await callProcedure(house.services, {
        path,
        input: input(user),
        headers: bearer(definitionOf(path).permission === 'lease' ? user.lease : user),
      })
      expect(outcomeOf(answer), path).toBe(owner)
    }
  }
  expect(statements.some(sql => /on conflict/i.test(sql))).toBe(true)
  for (const sql of statements) expect(guardedUpserts(sql)).toEqual([])
})
