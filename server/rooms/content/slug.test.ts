import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { slug } from './schema.ts'
import { firstFree, slugOf, stemOf } from './slug.ts'

describe('a slug', () => {
  it.each([
    ['Hello, World!', 'hello-world'],
    ['  Crème  brûlée — à la carte ', 'creme-brulee-a-la-carte'],
    ['Straße nach Łódź', 'strasse-nach-lodz'],
    ['Don’t panic', 'dont-panic'],
    ['①②③ ﬁne', '123-fine'],
    ['İstanbul', 'istanbul'],
    ['№ 5', 'no-5'],
    ['℡ 118 ㎏ of Ⅻ', 'tel-118-kg-of-xii'],
    ['Ŵ ŉ', 'w-n'],
    ['GROẞ', 'gross'],
    ['ﬆ Ł Ǆ Ⓐ', 'st-l-dz-a'],
    ['a'.repeat(200), 'a'.repeat(80)],
    [
      `${'word '.repeat(40)}`,
      'word-word-word-word-word-word-word-word-word-word-word-word-word-word-word-word',
    ],
  ])('for %j is %s', (title, expected) => {
    expect(slugOf(title)).toBe(expected)
  })

  it('for a title without Latin letters or digits depends on the title only', () => {
    expect(slugOf('你好')).toMatch(/^content-[0-9a-f]{8}$/)
    expect(slugOf('你好')).toBe(slugOf('你好'))
    expect(slugOf('你好')).not.toBe(slugOf('再见'))
  })

  it('for any title is valid as an input', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), title => {
        expect(slug.safeParse(slugOf(title)).success).toBe(true)
      }),
    )
  })

  it('that is taken leads to a free one of the same stem', () => {
    expect(firstFree(stemOf('name'), ['name'])).toBe('name-2')
    expect(firstFree(stemOf('name-2'), ['name', 'name-2', 'name-4'])).toBe('name-3')
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]{1,3}(-[a-z0-9]{1,40}){0,3}$/), given => {
        if (given.length > 100) return
        expect(slug.safeParse(firstFree(stemOf(given), [])).success).toBe(true)
      }),
    )
  })
})
