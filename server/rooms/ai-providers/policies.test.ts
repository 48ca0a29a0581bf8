import { sql } from 'kysely'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import {
  type Actor,
  createActor,
  createOrganization,
  type House,
  openHouse,
  type Role,
} from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'

// The database's own limits for each role, in case the server does not check.

let house: House
let owner: Actor

beforeAll(async () => {
  house = await openHouse()
  owner = await createActor(house)
})
afterAll(() => house.close())

it.for<[Role, boolean]>([
  ['owner', true],
  ['admin', true],
  ['member', false],
])('only admins and owners can write the table and its default: %s', async ([role, isWriter]) => {
  const actor = role === 'owner' ? owner : await createActor(house)
  const { id: organizationId } = await createOrganization(owner, role === 'owner' ? [] : [{ actor, role }])
  const { rows } = await house.owner.query<{ id: string }>(
    `insert into app.ai_provider_configs (organization_id, name, provider, model)
     values ($1, 'ours', 'openai', 'x'), ($1, 'other', 'openai', 'x') returning id`,
    [organizationId],
  )
  const [first = '', second = ''] = rows.map(row => row.id)
  const db = scopedDatabase(house.services.pools.api, scopeOf(actor, { organizationId }))
  const read = await db.selectFrom('app.aiProviderConfigs').select('id').execute()
  expect(read).toHaveLength(2)
  const { numUpdatedRows } = await db
    .updateTable('app.aiProviderConfigs')
    .set({ name: 'mine' })
    .where('id', '=', first)
    .executeTakeFirst()
  expect(numUpdatedRows).toBe(isWriter ? 1n : 0n)
  const chosen = sql<boolean>`app.set_default_ai_provider(${first}::uuid)`.as('isSet')
  const choice = await db
    .selectNoFrom(chosen)
    .executeTakeFirst()
    .catch(() => undefined)
  expect(choice?.isSet ?? false).toBe(isWriter)
  const { numDeletedRows } = await db
    .deleteFrom('app.aiProviderConfigs')
    .where('id', '=', second)
    .executeTakeFirst()
  expect(numDeletedRows).toBe(isWriter ? 1n : 0n)
  const added = db.insertInto('app.aiProviderConfigs').values({ name: 'new', provider: 'openai', model: 'x' })
  if (isWriter) await added.execute()
  else await expect(added.execute()).rejects.toMatchObject({ code: '42501' })
})
