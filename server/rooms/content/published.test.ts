import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
import { createMedia } from './fixture.ts'

// Readers without a credential, through the API and in SQL as the public login.

let house: House
let ada: Actor
let bob: Actor
let organization: { id: string; slug: string }
let reader: ReturnType<typeof anonymous>['content']
const ids: Record<string, string> = {}

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  organization = await createOrganization(ada, [bob])
  reader = anonymous(house).content
  const organizationId = organization.id
  const mediaItemId = await createMedia(ada)
  const write = async (actor: Actor, title: string, more = {}) => {
    const { id } = await actor
      .caller()
      .content.create({ title, contentType: 'written', body: 'a body', ...more })
    ids[title] = id
    return id
  }
  const publish = async (actor: Actor, title: string, more = {}) => {
    await actor.caller().content.publish({ id: await write(actor, title, more) })
  }
  await publish(ada, 'Engines', { tags: ['history'], description: 'Weaving' })
  await publish(ada, 'A film', { contentType: 'video', mediaItemId, tags: ['history', 'film'] })
  await publish(bob, 'Weaving', {})
  await publish(ada, 'For us', { organizationId })
  await publish(bob, 'For us too', { organizationId })
  await write(ada, 'Draft')
  await write(ada, 'Draft for us', { organizationId })
  await publish(ada, 'Archived')
  await ada.caller().content.archive({ id: ids.Archived ?? '' })
  await publish(ada, 'Removed')
  await ada.caller().content.remove({ id: ids.Removed ?? '' })
})
afterAll(() => house.close())

type Input = Parameters<typeof reader.published>[0]

async function titles(input?: Input): Promise<string[]> {
  return (await reader.published(input)).items.map(item => item.title)
}

const PUBLISHED = ['For us too', 'For us', 'Weaving', 'A film', 'Engines']

describe('an anonymous reader', () => {
  it('sees only published content, last published first', async () => {
    expect(await titles()).toEqual(PUBLISHED)
    await ada.caller().content.unpublish({ id: ids.Engines ?? '' })
    expect(await titles()).not.toContain('Engines')
    await ada.caller().content.publish({ id: ids.Engines ?? '' })
    expect((await titles())[0]).toBe('Engines')
  })

  it('sees its creator, organization and media item, but only their public fields', async () => {
    const { items } = await reader.published({ type: 'video' })
    expect(items).toEqual([
      {
        id: ids['A film'],
        title: 'A film',
        slug: 'a-film',
        description: null,
        contentType: 'video',
        tags: ['history', 'film'],
        publishedAt: expect.any(Date),
        updatedAt: expect.any(Date),
        creator: { id: ada.userId, name: 'Ada', image: null },
        organization: null,
        media: {
          id: expect.any(String),
          title: 'A film',
          mediaType: 'video',
          mimeType: 'video/mp4',
          durationSeconds: 12.5,
          width: 1920,
          height: 1080,
          thumbnailUrl: null,
        },
      },
    ])
    const [ours] = (await reader.published({ organizationSlug: organization.slug })).items
    expect(ours?.organization).toEqual({ ...organization, name: organization.slug, logo: null })
  })

  it.each<[string, () => Input, string[]]>([
    ['type', () => ({ type: 'video' }), ['A film']],
    ['all of several tags', () => ({ tags: ['film', 'history'] }), ['A film']],
    ['search, title before description', () => ({ search: 'weaving' }), ['Weaving', 'Engines']],
    ['search and creator', () => ({ search: 'weaving', creatorId: ada.userId }), ['Engines']],
    ['creator: only their own page, without organizations', () => ({ creatorId: bob.userId }), ['Weaving']],
    ['organization', () => ({ organizationSlug: organization.slug }), ['For us too', 'For us']],
    [
      'creator within an organization',
      () => ({ organizationSlug: organization.slug, creatorId: bob.userId }),
      ['For us too'],
    ],
    ['an unknown organization', () => ({ organizationSlug: 'no-such-organization' }), []],
    ['words of a draft', () => ({ search: 'draft' }), []],
  ])('finds by %s', async (_, input, expected) => {
    expect(await titles(input())).toEqual(expected)
  })

  it.each<[string, Input]>([
    ['a list', {}],
    ['a search', { search: 'weaving' }],
  ])('can page by cursor: %s', async (_, input) => {
    const all = await titles(input)
    const paged: string[] = []
    let cursor: string | undefined
    do {
      const page = await reader.published({ ...input, limit: 1, cursor })
      paged.push(...page.items.map(item => item.title))
      cursor = page.nextCursor ?? undefined
    } while (cursor)
    expect(paged).toEqual(all)
  })

  it('reads the body by slug, of an organization or of a creator', async () => {
    const film = await reader.bySlug({ slug: 'a-film', creatorId: ada.userId })
    expect(film).toMatchObject({
      title: 'A film',
      body: 'a body',
      media: { url: expect.stringMatching(/^http/) },
    })
    expect(await reader.bySlug({ slug: 'for-us', organizationSlug: organization.slug })).toMatchObject({
      id: ids['For us'],
      media: null,
    })
    const hidden = [
      { slug: 'draft', creatorId: ada.userId },
      { slug: 'archived', creatorId: ada.userId },
      { slug: 'removed', creatorId: ada.userId },
      { slug: 'for-us', creatorId: ada.userId },
      { slug: 'a-film', creatorId: bob.userId },
      { slug: 'a-film', organizationSlug: organization.slug },
      { slug: 'draft-for-us', organizationSlug: organization.slug },
    ]
    const refusals = await Promise.all(hidden.map(input => refusalOf(reader.bySlug(input))))
    for (const refusal of refusals) expect(refusal).toEqual(refusals[0])
    expect(refusals[0]).toMatchObject({ code: 'NOT_FOUND', reason: 'not_found' })
  })

  it.each<[string, object]>([
    ['neither creator nor organization', { slug: 'a-film' }],
    ['both', { slug: 'a-film', creatorId: crypto.randomUUID(), organizationSlug: 'x' }],
    ['an invalid slug', { slug: 'A film', organizationSlug: 'x' }],
  ])('cannot read by slug with %s', async (_, input) => {
    expect(await refusalOf(reader.bySlug(input as Parameters<typeof reader.bySlug>[0]))).toMatchObject({
      code: 'BAD_REQUEST',
    })
  })

  it('cannot use a cursor of another kind of list', async () => {
    const cursor = `0.6079271_${crypto.randomUUID()}`
    expect(await refusalOf(reader.published({ cursor }))).toMatchObject({ code: 'BAD_REQUEST' })
  })

  it('gets the same answer with any credential, valid or not', async () => {
    const expected = await reader.published()
    const token = await createApiToken(ada, { scopes: [] })
    for (const caller of [
      ada.caller(),
      bob.caller(),
      token.caller(),
      anonymous(house, { authorization: 'Bearer nonsense' }),
      ada.caller({ 'x-organization-id': crypto.randomUUID() }),
    ]) {
      expect(await caller.content.published()).toEqual(expected)
    }
  })
})

describe('the public login, in SQL', () => {
  async function asPublic<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(house.database.directUrls.public)
    client.on('error', () => {})
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  }

  it('reads only published rows, whatever settings it fakes', async () => {
    const rows = await asPublic(async client => {
      await client.query(`select set_config('app.credential', $1, false)`, [`s:${'0'.repeat(64)}`])
      return (await client.query('select title, status from app.content')).rows
    })
    expect(rows.map(row => row.title).toSorted()).toEqual(PUBLISHED.toSorted())
    expect(rows.every(row => row.status === 'published')).toBe(true)
  })

  it.each([
    'select deletion_id from app.content',
    'select search from app.content',
    'select * from app.content',
    'select id from app.media_items',
    'select name from auth.users',
    'select slug from auth.organizations',
    'select app.shared_media(app.new_id(), app.new_id())',
    'select app.member_organization_ids()',
    `update app.content set title = 'x'`,
    `insert into app.content (title, slug, content_type) values ('x', 'x', 'written')`,
    'delete from app.content',
    `select * from app.sign_in('s:00', null, 'any', true, 0)`,
  ])('cannot run %s', async statement => {
    await asPublic(async client => {
      await expect(client.query(statement)).rejects.toMatchObject({ code: '42501' })
    })
  })

  it('gets only published rows from its function, and at most a page', async () => {
    const { rows } = await asPublic(client =>
      client.query(
        `select title from app.published_content(null, null, null, null, null, null, null, null, 1000000)`,
      ),
    )
    expect(rows.map(row => row.title).toSorted()).toEqual(PUBLISHED.toSorted())
    for (const attempt of [`' or true --`, `x' union select null, email from auth.users --`, '%1$s', `$1`]) {
      const answers = await asPublic(client =>
        client.query(
          'select title from app.published_content($1, null, null, null, null, null, null, null, 10)',
          [attempt],
        ),
      )
      expect(answers.rows).toEqual([])
      await asPublic(client =>
        client.query(
          'select title from app.published_content(null, $1, null, array[$1], null, $1, null, null, 10)',
          [attempt],
        ),
      )
    }
  })
})
