import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { publicDatabase } from '#server/db/database.ts'
import { eraseEverything, openErasures } from '#server/rooms/account/erasure-fixture.ts'
import { createMedia } from '#server/rooms/content/fixture.ts'
import {
  type Actor,
  anonymous,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { sweep } from './sweep.ts'

// Removals that can be restored and have more dependent rows than one statement can handle; and sweeps of as
// many rows.

const MANY = 3_000

let house: House
let ada: Actor
beforeAll(async () => {
  house = await openHouse()
})
beforeEach(async () => {
  ada = await createActor(house)
})
afterAll(() => house.close())

const sql = async (text: string, values: unknown[] = []) => (await house.owner.query(text, values)).rows

async function publishMany(parents: { mediaItemId?: string; organizationId?: string }): Promise<void> {
  await sql(
    `insert into app.content (user_id, organization_id, media_item_id, title, slug, content_type, status, published_at)
     select $1, $2, $3, 'x', 'x-' || n, 'written', 'published', now() from generate_series(1, ${MANY}) n`,
    [ada.userId, parents.organizationId ?? null, parents.mediaItemId ?? null],
  )
}

const published = async () =>
  (await anonymous(house).content.published({ creatorId: ada.userId })).items.length

/** The number of rows that the public login may select, directly or by any function. */
async function exposed(): Promise<number> {
  const { count } = await publicDatabase(house.services.pools.public, { timeoutMs: 10_000 })
    .selectFrom('app.content')
    .select(eb => eb.fn.count<string>('id').as('count'))
    .where('userId', '=', ada.userId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function statesOf(table: string): Promise<unknown[]> {
  return sql(
    `select deletion_id is not null as removed, count(*)::int as count from ${table}
    where user_id = $1 group by 1 order by 1`,
    [ada.userId],
  )
}

it('a media item takes all of its content along, which nobody reads from the first moment on, and brings it back', async () => {
  const id = await createMedia(ada)
  await publishMany({ mediaItemId: id })
  expect([await published(), await exposed()]).not.toContain(0)
  await ada.caller().media.remove({ id })
  expect(await openErasures(house)).toBe(1)
  expect([await published(), await exposed()]).toEqual([0, 0])
  expect((await ada.caller().content.list({})).items).toEqual([])
  await eraseEverything(house)
  expect(await statesOf('app.content')).toEqual([{ removed: true, count: MANY }])

  await ada.caller().media.restore({ id })
  await eraseEverything(house)
  expect(await statesOf('app.content')).toEqual([{ removed: false, count: MANY }])
  expect(await published()).toBeGreaterThan(0)
})

it('a removal that is restored before it has finished is restored completely', async () => {
  const id = await createMedia(ada)
  await publishMany({ mediaItemId: id })
  await ada.caller().media.remove({ id })
  await ada.caller().media.restore({ id })
  await eraseEverything(house)
  expect(await statesOf('app.content')).toEqual([{ removed: false, count: MANY }])
})

it('content whose slug was taken in the meantime stays removed, and the rest is restored', async () => {
  const id = await createMedia(ada)
  await publishMany({ mediaItemId: id })
  await ada.caller().media.remove({ id })
  await eraseEverything(house)
  await ada.caller().media.restore({ id })
  // The first thousand are restored with the item. One of the others conflicts with a new row.
  const [late] = await sql(
    'select slug from app.content where user_id = $1 and deletion_id is not null limit 1',
    [ada.userId],
  )
  await ada.caller().content.create({ title: 'y', slug: late.slug, contentType: 'written' })
  await eraseEverything(house)
  expect(await statesOf('app.content')).toEqual([
    { removed: false, count: MANY },
    { removed: true, count: 1 },
  ])
})

it('a task’s removal removes and restores all of its approvals', async () => {
  const { id } = await ada.caller().tasks.create({ prompt: 'x' })
  await sql(
    `insert into app.approvals (user_id, task_id, kind, title, payload, payload_hash, requested_by, event_seq)
     select $1, $2, 'deploy', 'x', '{}', sha256('x'), 'session', n from generate_series(1, ${MANY}) n`,
    [ada.userId, id],
  )
  await ada.caller().tasks.remove({ id })
  await eraseEverything(house)
  expect(await statesOf('app.approvals')).toEqual([{ removed: true, count: MANY }])
  await ada.caller().tasks.restore({ id })
  await eraseEverything(house)
  expect(await statesOf('app.approvals')).toEqual([{ removed: false, count: MANY }])
})

it('an organization is hidden at once with all dependent rows, and is restored without its content', async () => {
  const { id: organizationId, slug } = await createOrganization(ada)
  await publishMany({ organizationId })
  await sql(
    `insert into app.approvals (user_id, organization_id, kind, title, payload, payload_hash, requested_by, event_seq, organization_event_seq)
     select $1, $2, 'deploy', 'x', '{}', sha256('x'), 'session', n, n from generate_series(1, ${MANY}) n`,
    [ada.userId, organizationId],
  )
  await sql(
    `insert into app.api_tokens (user_id, organization_id, name, prefix, token_hash, scopes)
     select $1, $2, 'x', 'x', sha256((n || $1::uuid::text)::bytea), '{tasks:read}' from generate_series(1, ${MANY}) n`,
    [ada.userId, organizationId],
  )
  const token = await createApiToken(ada, { scopes: ['tasks:read'], organizationId })
  const everyone = anonymous(house)
  const page = async () => (await everyone.content.published({ organizationSlug: slug })).items.length
  const all = async () =>
    (await everyone.content.published({ limit: 100 })).items.filter(
      ({ creator }) => creator.id === ada.userId,
    ).length
  expect([await page(), await all(), await exposed()]).not.toContain(0)

  await ada.caller().organizations.remove({ organizationId })
  expect([await page(), await all(), await exposed()]).toEqual([0, 0, 0])
  expect((await refusalOf(token.caller().tasks.list({}))).code).toMatch(/UNAUTHORIZED|FORBIDDEN/)
  await eraseEverything(house)
  expect(await statesOf('app.approvals')).toEqual([{ removed: true, count: MANY }])
  expect(await statesOf('app.api_tokens')).toEqual([{ removed: true, count: MANY + 1 }])
  const states = () =>
    sql(
      'select organization_id, status, count(*)::int as count from app.content where user_id = $1 group by 1, 2',
      [ada.userId],
    )
  expect(await states()).toEqual([{ organization_id: null, status: 'draft', count: MANY }])

  await ada.caller().organizations.restore({ organizationId })
  const news = await ada.caller().content.create({ title: 'News', contentType: 'written', organizationId })
  await eraseEverything(house)
  expect(await statesOf('app.approvals')).toEqual([{ removed: false, count: MANY }])
  expect(await statesOf('app.api_tokens')).toEqual([{ removed: false, count: MANY + 1 }])
  expect((await ada.caller().content.get({ id: news.id })).organization?.id).toBe(organizationId)
  await expect(token.caller().tasks.list({})).resolves.toBeDefined()
})

it('a sweep deletes any number of states, counters and events of a delivery, in batches', async () => {
  await sql(
    `insert into app.oauth_states (user_id, session_id, state_hash, provider, return_to, expires_at)
     select $1, $2, sha256((n || $1::uuid::text)::bytea), 'linear', '/', now() - interval '2 hours' from generate_series(1, ${MANY}) n`,
    [ada.userId, ada.sessionId],
  )
  await sql(
    `insert into app.rate_limits (key, expires_at) select 'x' || n, now() - interval '2 hours' from generate_series(1, ${MANY}) n`,
  )
  await sql(
    `with delivered as (
       insert into app.webhook_deliveries (provider, delivery_id, body_hash, event_type, headers, payload, received_at)
       values ('linear', 'old', sha256('old'), 'Issue', '{}', '{}', now() - interval '31 days') returning id
     ), connected as (
       insert into app.connections (user_id, provider, external_id, name)
       select $1, 'linear', 'team-' || n, 'x' from generate_series(1, 6000) n returning id
     )
     insert into app.webhook_events (user_id, connection_id, delivery_id, provider, event_type, payload, status, next_attempt_at)
     select $1, connected.id, delivered.id, 'linear', 'Issue', '{}', 'processed', null from delivered, connected`,
    [ada.userId],
  )
  const { system } = house.services.pools
  expect(await system.sweep('oauthStates')).toBe(1_000)
  expect(await system.sweep('rateLimits')).toBe(1_000)
  expect(await system.sweep('webhooks')).toBe(5_000)
  await sweep(house.services)
  const [left] = await sql(`select
    (select count(*) from app.oauth_states) + (select count(*) from app.rate_limits where key like 'x%')
    + (select count(*) from app.webhook_deliveries) + (select count(*) from app.webhook_events) as count`)
  expect(Number(left.count)).toBe(0)
})
