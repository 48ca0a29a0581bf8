import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import type { Caller } from '#server/rpc/caller.ts'
import {
  type Actor,
  createActor,
  createApiToken,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { whileWaiting } from '#server/testing/while-waiting.ts'
import { contentRows, createMedia } from './fixture.ts'

// The locks on a creator's own page, and what SQL as the server's login can read.

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

const write = (title: string, more: { organizationId?: string; slug?: string } = {}) =>
  bob.caller().content.create({ title, contentType: 'written', ...more })

/** Runs as the API's login, with an actor's credential. */
function databaseOf(actor: Actor) {
  return scopedDatabase(house.services.pools.api, scopeOf(actor))
}

describe('a creator’s own page', () => {
  const held = (isShared: boolean) => ['select app.lock_page($1, $2)', [bob.userId, isShared]] as const

  it('is locked by leaving an organization, which then avoids its slugs', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { id } = await write('Late', { organizationId })
    await whileWaiting(
      house,
      {
        locked: held(true),
        meanwhile: [
          [
            `insert into app.content (user_id, title, slug, content_type) values ($1, 'Late', 'late', 'written')`,
            [bob.userId],
          ],
        ],
      },
      () => bob.caller().organizations.leave({ organizationId }),
    )
    expect(await contentRows(house, id)).toMatchObject([{ organization_id: null, slug: 'late-2' }])
  })

  it('is locked by a new, a changed and a restored slug', async () => {
    const { id } = await write('Changes')
    const { id: removed } = await write('Comes back')
    const { content } = bob.caller()
    await content.remove({ id: removed })
    await whileWaiting(house, { locked: held(false) }, () => write('New'))
    await whileWaiting(house, { locked: held(false) }, () => content.update({ id, slug: 'changed' }))
    await whileWaiting(house, { locked: held(false) }, () => content.restore({ id: removed }))
  })
})

it('creating content waits for its media item, and fails if it was removed in the meantime', async () => {
  const mediaItemId = await createMedia(bob)
  const refusal = await whileWaiting(
    house,
    {
      // Locks the row as a removal does, which a foreign key check does not wait for.
      locked: ['select from app.media_items where id = $1 for no key update', [mediaItemId]],
      meanwhile: [
        [
          'update app.media_items set deleted_at = now(), deletion_id = app.new_id() where id = $1',
          [mediaItemId],
        ],
      ],
    },
    () => refusalOf(bob.caller().content.create({ title: 'Film', contentType: 'video', mediaItemId })),
  )
  expect(refusal).toMatchObject({ reason: 'not_found' })
  const { rows } = await house.owner.query('select from app.content where media_item_id = $1', [mediaItemId])
  expect(rows).toEqual([])
})

it('removing an organization locks its creators’ pages in one order', async () => {
  const [first, second] = [ada, bob].toSorted((a, b) => (a.userId < b.userId ? -1 : 1))
  if (!first || !second) throw new Error('expected two actors')
  const { id: organizationId } = await createOrganization(first, [second])
  // The oldest and the newest content are the second actor's: locking in content order would start there.
  for (const [n, actor] of [second, first, second].entries()) {
    await actor.caller().content.create({ title: `In order ${n}`, contentType: 'written', organizationId })
  }
  await whileWaiting(
    house,
    {
      locked: ['select app.lock_page($1, false)', [first.userId]],
      meanwhile: [
        [
          `select 1 / pg_try_advisory_xact_lock(hashtextextended('app.content ' || $1::text, 0))::int`,
          [second.userId],
        ],
      ],
    },
    () => first.caller().organizations.remove({ organizationId }),
  )
})

it('a member whose credential is not valid in the organization cannot write for it', async () => {
  const { id: organizationId } = await createOrganization(ada, [bob])
  const { id: elsewhere } = await createOrganization(bob)
  const bound = await createApiToken(bob, { scopes: ['content:write'], organizationId: elsewhere })
  const reasonOf = async (caller: Caller) => {
    const made = caller.content.create({ title: 'x', contentType: 'written', organizationId })
    return (await refusalOf(made)).reason
  }
  expect(await reasonOf(bound.caller())).toBe('not_a_member')
  await house.owner.query('update auth.organizations set require_two_factor = true where id = $1', [
    organizationId,
  ])
  expect(await reasonOf(bob.caller())).toBe('not_a_member')
  const { rows } = await house.owner.query('select from app.content where organization_id = $1', [
    organizationId,
  ])
  expect(rows).toEqual([])
})

describe('in SQL, fellow members', () => {
  const mediaFor = async (actor: Actor, mediaItemId: string) => {
    const { rows } = await sql<{ media: { title: string } | null }>`
      select app.shared_media(${bob.userId}::uuid, ${mediaItemId}::uuid) as media
    `.execute(databaseOf(actor))
    return rows[0]?.media ?? null
  }

  it('see a media item only while shared content uses it', async () => {
    const mediaItemId = await createMedia(bob)
    const { id: organizationId } = await createOrganization(ada, [bob])
    const stranger = await createActor(house)
    const film = { contentType: 'video', mediaItemId } as const
    const { content } = bob.caller()
    await content.create({ title: 'Mine', ...film })
    expect(await mediaFor(ada, mediaItemId)).toBeNull()
    const { id } = await content.create({ title: 'Ours', ...film, organizationId })
    expect(await mediaFor(ada, mediaItemId)).toMatchObject({ title: 'A film' })
    expect(await mediaFor(stranger, mediaItemId)).toBeNull()
    await content.remove({ id })
    expect(await mediaFor(ada, mediaItemId)).toBeNull()
  })

  it('cannot read content that its creator removed', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const { id } = await write('Removed', { organizationId })
    const readBy = (actor: Actor) =>
      databaseOf(actor).selectFrom('app.content').select('id').where('id', '=', id).execute()
    expect(await readBy(ada)).toEqual([{ id }])
    await bob.caller().content.remove({ id })
    expect(await readBy(ada)).toEqual([])
    expect(await readBy(bob)).toEqual([{ id }])
  })
})

it('the public list has no bodies, and is never longer than a page', async () => {
  await house.owner.query(
    `insert into app.content (user_id, title, slug, body, content_type, status, published_at)
     select $1, 'Page ' || n, 'page-' || n, 'text', 'written', 'published', now() from generate_series(1, 110) n`,
    [bob.userId],
  )
  const { rows } = await house.owner.query<{ body: string | null }>(
    'select body from app.published_content(null, null, null, null, null, null, null, null, 1000000)',
  )
  expect(rows).toHaveLength(101)
  expect(new Set(rows.map(({ body }) => body))).toEqual(new Set([null]))
})
