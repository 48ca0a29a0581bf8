import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { withDatabase } from '#server/postgres/connection-url.ts'
import { describeServerWarnings } from '#server/postgres/isolation.ts'
import { migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { type Actor, anonymous, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { asSuperuser, emptyDatabaseOptions } from '#server/testing/test-server.ts'

// How each list with a search parses text.

const QUOTED = 'He said “hello” — then left…'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house)
})
afterAll(() => house.close())

/**
 * Whether a search finds a text in tasks, in the creator's content and in published content. The answer must
 * be the same everywhere.
 */
async function isFound(text: string, search: string): Promise<boolean> {
  const { tasks, content } = ada.caller()
  const task = await tasks.create({ prompt: text })
  const article = await content.create({ title: 'T', contentType: 'written', body: text })
  await content.publish({ id: article.id })
  const lists = [
    (await tasks.list({ search })).items.some(({ id }) => id === task.id),
    (await content.list({ search })).items.some(({ id }) => id === article.id),
    (await anonymous(house).content.published({ search, creatorId: ada.userId })).items.some(
      ({ id }) => id === article.id,
    ),
  ]
  await tasks.stop({ id: task.id })
  await tasks.remove({ id: task.id })
  await content.remove({ id: article.id })
  expect(new Set(lists).size, `${search} in ${text}: ${lists}`).toBe(1)
  return lists[0] === true
}

describe('a search', () => {
  it.each([
    [QUOTED, 'hello'],
    [QUOTED, 'left'],
    [QUOTED, '“hello”'],
    ['see /src/app/page.tsx', 'page.tsx'],
    ['see /src/app/page.tsx', '/src/app/page.tsx'],
    ['see /src/app/page.tsx', 'app/page'],
    ['see /src/app/page.tsx', 'tsx'],
    ['see C:\\src\\page.tsx', 'page.ts'],
    ['a shared door', 'shar'],
    ['a shared door', 'a shared do'],
    ['a shared door', '"shared do'],
    ['rowhouse.example.com and ada@example.com', 'example.com'],
    ['rowhouse.example.com and ada@example.com', 'ada@example'],
    ['https://example.com/a/b?c=d#e', 'example.com/a'],
    ['set user_id to 42', 'user_id'],
    ['a well-known state', 'well-kno'],
    ['version 1.22.3', '1.22'],
    ['«Guillemets» ¿qué? 「括弧」 *bold* `code` 🎉party🎉', 'guillemets'],
    ['«Guillemets» ¿qué? 「括弧」 *bold* `code` 🎉party🎉', 'qué'],
    ['«Guillemets» ¿qué? 「括弧」 *bold* `code` 🎉party🎉', '括弧'],
    ['«Guillemets» ¿qué? 「括弧」 *bold* `code` 🎉party🎉', 'bold code party'],
    ['Don’t panic', "don't"],
    ['L’ÉCOLE', 'école'],
    ['ДОМ у реки', 'дом'],
    ['a cat', 'dog or cat'],
    ['either or', 'or'],
    ['an orange', 'or'],
    ['an <b>important</b> word', 'important'],
    ['a text', 'text -other'],
    ['a text', 'text - other-wise or text'],
  ])('in %j finds %j', async (text, search) => {
    expect(await isFound(text, search)).toBe(true)
  })

  it.each([
    ['a shared door', 'hared'],
    ['a shared door', 'shar door'],
    ['a shared door', '"shar"'],
    ['a shared door', 'shared -door'],
    ['see /src/app/page.tsx', 'page.app'],
    ['see /src/app/page.tsx', 'see -page.tsx'],
    ['a text', '???'],
    ['a text', '""'],
  ])('in %j does not find %j', async (text, search) => {
    expect(await isFound(text, search)).toBe(false)
  })

  it.each(['-', '"', '-"', '-a ', '-"a', '(', '!', ':*', '&|', '\\', "'", 'or ', '- ', 'a.', '<->'])(
    'for %j, repeated up to the limit, does not fail',
    async sign => {
      expect(await isFound('a text', sign.repeat(200 / sign.length))).toBeTypeOf('boolean')
    },
  )

  it('for any text does not fail', async () => {
    const { tasks } = ada.caller()
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), async search => {
        await tasks.list({ search, limit: 1 })
      }),
      { numRuns: 200 },
    )
  })
})

describe('on a database whose LC_CTYPE is C', () => {
  const name = `${inject('testServer').prefix}_ctype`
  let client: pg.Client

  beforeAll(async () => {
    const server = inject('testServer')
    await asSuperuser(server, admin =>
      admin.query(
        `create database ${name} ${emptyDatabaseOptions(server)} locale_provider libc lc_collate 'C' lc_ctype 'C'`,
      ),
    )
    const url = withDatabase(server.ownerUrl, name)
    await migrateToLatest({ url })
    client = new pg.Client(url)
    await client.connect()
  })
  afterAll(async () => {
    await client.end()
    await asSuperuser(inject('testServer'), admin => admin.query(`drop database ${name} with (force)`))
  })

  it('punctuation outside ASCII still ends a word', async () => {
    const { rows } = await client.query(
      'select app.search_vector($1) @@ app.search_query($2) as found, app.search_words($1) as words',
      [QUOTED, 'hello'],
    )
    expect(rows).toEqual([{ found: true, words: 'he said hello then left' }])
  })

  it('the server warns at start which searches fail and how to fix them', async () => {
    const [warning] = (await describeServerWarnings(client)).filter(line => line.includes('LC_CTYPE'))
    expect(warning).toContain(`database "${name}" has LC_CTYPE C`)
    expect(warning).toContain('search does not find "école" for "École"')
    expect(warning).toContain("lc_ctype 'C.UTF-8'")
  })
})

it('a database with a real LC_CTYPE causes no warning', async () => {
  await asSuperuser(inject('testServer'), async client => {
    expect((await describeServerWarnings(client)).join()).not.toContain('LC_CTYPE')
  })
})
