import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Actor,
  anonymous,
  createActor,
  createOrganization,
  type House,
  openHouse,
} from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { contentRows } from './fixture.ts'

// Content that moves from an organization to its creator's own page.

let house: House
let ada: Actor
let bob: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterAll(() => house.close())

async function publishFor(actor: Actor, organizationId: string, title: string): Promise<string> {
  const { content } = actor.caller()
  const { id } = await content.create({ title, contentType: 'written', organizationId })
  await content.publish({ id })
  return id
}

const DRAFT = { status: 'draft', organization_id: null, published_at: null }

describe('content becomes a draft on its creator’s own page', () => {
  it.each<[string, string]>([
    [
      'an organization is hidden',
      'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
    ],
    ['an organization’s row is deleted', 'delete from auth.organizations where id = $1'],
    [
      'its creator’s membership ends',
      `delete from auth.members where organization_id = $1 and role = 'member'`,
    ],
    [
      'an update removes its organization',
      'update app.content set organization_id = null where organization_id = $1',
    ],
    [
      'many organizations are hidden by one statement',
      'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id in ($1, $1)',
    ],
  ])('when %s', async (_, statement) => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const published = await publishFor(bob, organizationId, `Published ${organizationId}`)
    const archived = await publishFor(bob, organizationId, `Archived ${organizationId}`)
    await bob.caller().content.archive({ id: archived })
    const removed = await publishFor(bob, organizationId, `Removed ${organizationId}`)
    await bob.caller().content.remove({ id: removed })

    await house.owner.query(statement, [organizationId])
    expect(await contentRows(house, published, archived, removed)).toMatchObject([DRAFT, DRAFT, DRAFT])
    const { items } = await anonymous(house).content.published({ creatorId: bob.userId })
    expect(items).toEqual([])
    expect(await bob.caller().content.get({ id: published })).toMatchObject({
      status: 'draft',
      organization: null,
    })
    expect(await refusalOf(ada.caller().content.get({ id: published }))).toMatchObject({
      reason: 'not_found',
    })
    expect(await bob.caller().content.restore({ id: removed })).toMatchObject({ status: 'draft' })
  })

  it('when Better Auth’s login deletes a membership', async () => {
    const { id: organizationId } = await createOrganization(ada, [bob])
    const id = await publishFor(bob, organizationId, `By its login ${organizationId}`)
    const login = new pg.Client(house.database.directUrls.auth)
    await login.connect()
    await login.query('delete from auth.members where organization_id = $1 and user_id = $2', [
      organizationId,
      bob.userId,
    ])
    await login.end()
    expect(await contentRows(house, id)).toMatchObject([DRAFT])
  })

  it('and stays there when the organization is restored', async () => {
    const { id: organizationId } = await createOrganization(ada)
    const id = await publishFor(ada, organizationId, 'There and back')
    await house.owner.query(
      'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
      [organizationId],
    )
    await house.owner.query(
      'update auth.organizations set deleted_at = null, deletion_id = null where id = $1',
      [organizationId],
    )
    expect(await contentRows(house, id)).toMatchObject([DRAFT])
  })

  it('and no other content of the members does', async () => {
    const { id: organizationId } = await createOrganization(ada)
    const { content } = ada.caller()
    const own = await content.create({ title: 'Untouched', contentType: 'written' })
    await content.publish({ id: own.id })
    await house.owner.query('delete from auth.organizations where id = $1', [organizationId])
    expect(await contentRows(house, own.id)).toMatchObject([{ status: 'published' }])
  })
})

describe('a slug that is taken on the creator’s own page', () => {
  it('gets a number, even for many rows, and never blocks a removal', async () => {
    const organizations = await Promise.all([1, 2, 3].map(() => createOrganization(ada, [bob])))
    const own = await bob.caller().content.create({ title: 'Taken twice', contentType: 'written' })
    const removed = await bob
      .caller()
      .content.create({ title: 'Taken', slug: 'taken-twice-4', contentType: 'written' })
    await bob.caller().content.remove({ id: removed.id })
    const ids = []
    for (const { id } of organizations) ids.push(await publishFor(bob, id, 'Taken twice'))
    await house.owner.query('delete from auth.organizations where id = any ($1)', [
      organizations.map(({ id }) => id),
    ])
    const rows = await contentRows(house, own.id, ...ids)
    expect(rows.map(row => row.slug).toSorted()).toEqual([
      'taken-twice',
      'taken-twice-2',
      'taken-twice-3',
      'taken-twice-4',
    ])
    expect(rows[0]?.slug).toBe('taken-twice')
  })

  it('stays within the maximum length', async () => {
    const { id: organizationId } = await createOrganization(bob)
    const slug = 'a'.repeat(100)
    await bob.caller().content.create({ title: 'x', slug, contentType: 'written' })
    const { id } = await bob
      .caller()
      .content.create({ title: 'x', slug, contentType: 'written', organizationId })
    await house.owner.query('delete from auth.organizations where id = $1', [organizationId])
    expect((await contentRows(house, id))[0]?.slug).toBe(`${'a'.repeat(90)}-2`)
  })

  it('is detected even if it is written concurrently', async () => {
    for (let round = 0; round < 10; round++) {
      const { id: organizationId } = await createOrganization(bob)
      const slug = `at-once-${round}`
      const id = (await bob.caller().content.create({ title: slug, contentType: 'written', organizationId }))
        .id
      const other = await bob.caller().content.create({ title: `other ${round}`, contentType: 'written' })
      const [created, changed, removed] = await Promise.allSettled([
        bob.caller().content.create({ title: slug, slug, contentType: 'written' }),
        bob.caller().content.update({ id: other.id, slug: `${slug}-2` }),
        house.owner.query(
          'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
          [organizationId],
        ),
      ])
      expect(removed.status).toBe('fulfilled')
      // The later of the two got the conflict.
      for (const outcome of [created, changed]) {
        if (outcome.status === 'rejected') expect(outcome.reason.cause.reason).toBe('unique_violation')
      }
      expect(await contentRows(house, id)).toMatchObject([DRAFT])
    }
  })
})

it('removing and leaving organizations while members write causes no deadlock', async () => {
  const failures: unknown[] = []
  for (let round = 0; round < 8; round++) {
    const organizations = await Promise.all([1, 2, 3].map(() => createOrganization(ada, [bob])))
    for (const { id } of organizations) {
      await publishFor(ada, id, `Ada ${round}`)
      await publishFor(bob, id, `Bob ${round}`)
    }
    const [one, two, three] = organizations.map(({ id }) => id)
    const outcomes = await Promise.allSettled([
      ...[one, two].map(id =>
        house.owner.query(
          'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
          [id],
        ),
      ),
      house.owner.query('delete from auth.members where organization_id = $1 and user_id = $2', [
        three,
        bob.userId,
      ]),
      ...[ada, bob].flatMap(actor =>
        organizations.flatMap(({ id: organizationId }) => [
          actor.caller().content.create({
            title: `More of ${actor.name} ${round}`,
            contentType: 'written',
            organizationId,
          }),
          actor.caller().tasks.create({ prompt: 'a prompt', organizationId }),
        ]),
      ),
    ])
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') failures.push(outcome.reason.cause?.reason ?? outcome.reason)
    }
  }
  expect([...new Set(failures)].filter(reason => reason !== 'not_a_member')).toEqual([])
  const { rows } = await house.owner.query(
    'select from app.content c join auth.organizations o on o.id = c.organization_id where o.deleted_at is not null',
  )
  expect(rows).toEqual([])
})

it('no content can be created for an organization while it is being removed', async () => {
  const { id: organizationId } = await createOrganization(ada)
  const remover = await house.owner.connect()
  try {
    await remover.query('begin')
    await remover.query(
      'update auth.organizations set deleted_at = now(), deletion_id = app.new_id() where id = $1',
      [organizationId],
    )
    const made = refusalOf(
      ada.caller().content.create({ title: 'Too late', contentType: 'written', organizationId }),
    )
    await expect
      .poll(async () => {
        const { rows } = await house.owner.query(
          `select count(*)::int as waiting from pg_locks l join pg_stat_activity a using (pid)
           where not l.granted and a.datname = current_database()`,
        )
        return rows[0].waiting
      })
      .toBe(1)
    await remover.query('commit')
    expect(await made).toMatchObject({ reason: 'not_a_member' })
  } finally {
    await remover.query('rollback')
    remover.release()
  }
})

it('deleting a user deletes their content, files and organization', async () => {
  const eve = await createActor(house, { name: 'Eve' })
  const { id: organizationId } = await createOrganization(eve)
  const { rows } = await house.owner.query<{ id: string }>(
    `insert into app.media_items (user_id, title, media_type, mime_type, file_name, file_size_bytes)
     values ($1, 'x', 'video', 'video/mp4', 'x.mp4', 1) returning id`,
    [eve.userId],
  )
  const mediaItemId = rows[0]?.id
  const { id } = await eve
    .caller()
    .content.create({ title: 'x', contentType: 'video', mediaItemId, organizationId })
  await eve.caller().content.create({ title: 'x', contentType: 'video', mediaItemId })
  await house.owner.query('delete from auth.organizations where id = $1', [organizationId])
  await house.owner.query('delete from auth.users where id = $1', [eve.userId])
  expect(await contentRows(house, id)).toEqual([])
})
