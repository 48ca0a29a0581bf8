import { afterAll, beforeAll, expect, it } from 'vitest'
import { type House, openHouse } from '#server/testing/actors.ts'
import type { ExpectedMigration } from './migrations/runner.ts'
import { checkReadiness } from './readiness.ts'

let house: House
let applied: ExpectedMigration[]

beforeAll(async () => {
  house = await openHouse()
  applied = (await house.owner.query('select name, checksum from public.rowhouse_migrations order by name'))
    .rows
})
afterAll(() => house.close())

const [isReady, isBehind] = [
  { ok: true },
  { ok: false, reason: 'the schema is not at the version of this code' },
]

it.each<[string, (all: ExpectedMigration[]) => ExpectedMigration[], object]>([
  ['exactly the migrations of this code', all => all, isReady],
  ['one less', all => [...all, { name: '9999_next', checksum: 'x' }], isBehind],
  ['one more', all => all.slice(0, -1), isBehind],
  [
    'one of another text',
    ([first, ...rest]) => [{ name: first?.name ?? '', checksum: 'x' }, ...rest],
    isBehind,
  ],
])('a database with %s', async (_, expectedOf, answer) => {
  expect(await checkReadiness(house.services.pools.api, expectedOf(applied))).toEqual(answer)
})

it('is not ready with a migration that was started and not finished', async () => {
  const last = applied.at(-1)?.name
  await house.owner.query(`update public.rowhouse_migrations set state = 'applying' where name = $1`, [last])
  expect(await checkReadiness(house.services.pools.api, applied)).toEqual(isBehind)
})
