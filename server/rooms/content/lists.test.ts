import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, createOrganization, type House, openHouse } from '#server/testing/actors.ts'
import { refusalOf } from '#server/testing/refusal.ts'
import { rowsReadBy } from '#server/testing/rows-read.ts'
import { createMedia } from './fixture.ts'
import { listContent } from './lists.ts'
import { listContent as listSchema } from './schema.ts'

let house: House
let ada: Actor
let bob: Actor
let organizationId: string

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
  organizationId = (await createOrganization(ada, [bob])).id
  const write = (actor: Actor, title: string, more = {}) =>
    actor.caller().content.create({ title, contentType: 'written', ...more })
  const engine = await write(ada, 'The engine', { body: 'weaves patterns', tags: ['history', 'machines'] })
  await ada.caller().content.publish({ id: engine.id })
  await write(ada, 'Looms', { description: 'patterns', tags: ['history'] })
  await write(ada, 'Patterns', { body: 'of leaves' })
  await write(ada, 'A film of looms', { contentType: 'video', mediaItemId: await createMedia(ada) })
  await write(bob, 'Ours by Bob', { organizationId })
  await write(bob, 'Bob’s own')
})
afterAll(() => house.close())

type Input = Parameters<ReturnType<Actor['caller']>['content']['list']>[0]

async function titles(input: Input, actor = ada): Promise<string[]> {
  return (await actor.caller().content.list(input)).items.map(item => item.title)
}

describe('a list', () => {
  it('contains the caller’s and their organizations’ content, newest first, without bodies', async () => {
    const { items } = await ada.caller().content.list()
    expect(items.map(item => item.title)).toEqual([
      'Ours by Bob',
      'A film of looms',
      'Patterns',
      'Looms',
      'The engine',
    ])
    expect(items[0]).toMatchObject({
      creator: { id: bob.userId, name: 'Bob' },
      organization: { id: organizationId },
    })
    expect(items[1]?.media).toMatchObject({ mediaType: 'video' })
    for (const item of items) expect(item).not.toHaveProperty('body')
  })

  it.each<[string, Input, string[]]>([
    ['status', { status: 'published' }, ['The engine']],
    ['type', { type: 'video' }, ['A film of looms']],
    ['one tag', { tags: ['history'] }, ['Looms', 'The engine']],
    ['all of several tags', { tags: ['machines', 'history'] }, ['The engine']],
    ['several filters', { tags: ['history'], status: 'draft', type: 'written' }, ['Looms']],
    ['a search and a tag', { search: 'patterns', tags: ['history'] }, ['Looms', 'The engine']],
    ['words that no content contains', { search: 'nothing' }, []],
    ['white space', { search: '  ', status: 'published' }, ['The engine']],
    ['removed content', { deleted: 'only' }, []],
  ])('is filtered by %s', async (_, input, expected) => {
    expect(await titles(input)).toEqual(expected)
  })

  it('is filtered by organization', async () => {
    expect(await titles({ organizationId })).toEqual(['Ours by Bob'])
    expect(await titles({ organizationId: crypto.randomUUID() })).toEqual([])
  })

  it('lists the best match of a search first: title, description, body', async () => {
    expect(await titles({ search: 'patterns' })).toEqual(['Patterns', 'Looms', 'The engine'])
    expect(await titles({ search: '"weaves patterns"' })).toEqual(['The engine'])
    expect(await titles({ search: 'patterns -leaves' })).toEqual(['Looms', 'The engine'])
  })

  it.each<[string, Input]>([
    ['a list', {}],
    ['a search', { search: 'patterns' }],
    ['a search with equal ranks', { search: 'alike' }],
  ])('can be paged by cursor: %s', async (_, input) => {
    const { content } = bob.caller()
    const reader = input?.search === 'alike' ? content : ada.caller().content
    if (input?.search === 'alike') {
      for (let n = 0; n < 5; n++) await content.create({ title: `Alike ${n}`, contentType: 'written' })
    }
    const all = (await reader.list(input)).items.map(item => item.id)
    const paged: string[] = []
    let cursor: string | undefined
    do {
      const page = await reader.list({ ...input, limit: 2, cursor })
      if (!('nextCursor' in page)) throw new Error('a page by cursor must have nextCursor')
      paged.push(...page.items.map(item => item.id))
      cursor = page.nextCursor ?? undefined
    } while (cursor)
    expect(paged).toEqual(all)
    expect(all.length).toBeGreaterThan(2)
  })

  it('can be paged by number, with the total, even after the last page', async () => {
    const { content } = ada.caller()
    const all = (await content.list()).items
    expect(await content.list({ page: 1, pageSize: 2 })).toEqual({ items: all.slice(0, 2), total: 5 })
    expect(await content.list({ page: 3, pageSize: 2 })).toEqual({ items: all.slice(4), total: 5 })
    expect(await content.list({ page: 4, pageSize: 2 })).toEqual({ items: [], total: 5 })
    const found = await content.list({ page: 1, search: 'patterns' })
    expect(found).toMatchObject({
      total: 3,
      items: [{ title: 'Patterns' }, { title: 'Looms' }, { title: 'The engine' }],
    })
  })

  it.each<[string, object]>([
    ['a cursor and a page', { cursor: crypto.randomUUID(), page: 1 }],
    ['an invalid cursor', { cursor: 'x' }],
    ['page 0', { page: 0 }],
    ['a page of 1,000', { page: 1, pageSize: 1_000 }],
    ['an unknown status', { status: 'lost' }],
  ])('rejects %s', async (_, input) => {
    expect(await refusalOf(ada.caller().content.list(input as Input))).toMatchObject({ code: 'BAD_REQUEST' })
  })
})

describe('a list reads only rows that its reader may see, however many others exist:', () => {
  // Enough rows that the planner estimates few rows for an owner.
  const OTHERS = 300
  const EACH = 10

  beforeAll(async () => {
    await house.owner.query(
      `with others as (
         insert into auth.users (name, email) select 'other', n || '@others.example' from generate_series(1, $1::int) n
         returning id
       )
       insert into app.content (user_id, title, slug, content_type, status, published_at)
       select o.id, 'patterns ' || n, 'patterns-' || n, 'written', 'published', now()
       from others o, generate_series(1, $2::int) n`,
      [OTHERS, EACH],
    )
    await house.owner.query('analyze app.content')
  })

  it.each<[string, object]>([
    ['a page', {}],
    ['a search', { search: 'patterns' }],
    ['a numbered page', { page: 1 }],
    ['an organization’s', { organizationId: 'ours' }],
  ])('%s', async (_, input) => {
    const given = 'organizationId' in input ? { organizationId } : input
    const read = await rowsReadBy(ada, db => listContent(db, listSchema.parse(given)))
    expect(read).toBeLessThan(30)
  })
})
