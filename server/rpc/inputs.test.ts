import { describe, expect, it } from 'vitest'
import { email, imageUrl, json, jsonObject, label, toLabel, url } from './inputs.ts'

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = [value]
  return value
}

/** Sixty arrays in memory, 2^60 when written out. */
function shared(): unknown {
  let value: unknown = 1
  for (let level = 0; level < 60; level++) value = [value, value]
  return value
}

describe('JSON inputs', () => {
  it.each([
    ['null', null],
    ['text', 'ünï 🙂'],
    ['numbers', [0, -1.5, 1e300]],
    ['objects', { a: { b: [true, {}] } }],
    ['64 levels', nested(64)],
    ['as much as fits', 'x'.repeat(98)],
  ])('take %s', (_, value) => {
    expect(json(100 + (Array.isArray(value) ? 100 : 0)).parse(value)).toEqual(value)
  })

  it.each([
    ['nothing', undefined],
    ['NUL', { a: 'x\0' }],
    ['NUL in a name', { 'x\0': 1 }],
    ['lone surrogates', ['\ud800']],
    ['numbers that are not finite', [Number.NaN]],
    ['dates', { at: new Date() }],
    ['maps', new Map()],
    ['big integers', [1n]],
    ['functions', { toJSON: () => 1 }],
    ['members without a value', { a: undefined }],
    ['holes', new Array(2)],
    ['65 levels', nested(65)],
    ['what never ends', shared()],
    ['too much text', 'x'.repeat(99)],
    ['too many bytes', '🙂'.repeat(40)],
    ['too many members', Array.from({ length: 60 }, () => 1)],
    ['a member named __proto__', JSON.parse('{"__proto__": 1}')],
    ['a member named constructor', { a: { constructor: 1 } }],
  ])('refuse %s', (_, value) => {
    expect(json(100).safeParse(value).success).toBe(false)
  })

  it('refuse what refers to itself', () => {
    const value: unknown[] = []
    value.push(value)
    expect(json().safeParse(value).success).toBe(false)
  })

  it('are objects where objects are asked for', () => {
    expect(jsonObject().parse({ a: 1 })).toEqual({ a: 1 })
    for (const value of [[], null, 'x', undefined, new Date()]) {
      expect(jsonObject().safeParse(value).success).toBe(false)
    }
  })
})

describe('addresses', () => {
  it('are taken as they are written', () => {
    expect(url.parse('https://a.b/ü?c=%ff')).toBe('https://a.b/ü?c=%ff')
  })

  it.each([
    ['a lone surrogate', 'https://a.b/\ud800'],
    ['NUL', 'https://a.b/\0'],
    ['another protocol', 'javascript:alert(1)'],
  ])('are refused with %s', (_, value) => {
    expect(url.safeParse(value).success).toBe(false)
  })
})

describe('a mail address', () => {
  it.each([
    ['ada@example.com', 'ada@example.com'],
    [' Ada+Tag@Example.COM ', 'ada+tag@example.com'],
    ['user@example.xn--p1ai', 'user@example.xn--p1ai'],
    ['USER@EXAMPLE.XN--P1AI', 'user@example.xn--p1ai'],
    ['user@пример.рф', 'user@xn--e1afmkfd.xn--p1ai'],
    ['user@BÜCHER.example', 'user@xn--bcher-kva.example'],
    ['user@例子.公司', 'user@xn--fsqu00a.xn--55qx5d'],
    ['user@例子。公司', 'user@xn--fsqu00a.xn--55qx5d'],
    ["o'neill_1@mail.example.co", "o'neill_1@mail.example.co"],
  ])('such as %s is taken', (given, expected) => {
    expect(email.parse(given)).toBe(expected)
  })

  it.each([
    '',
    'ada',
    '@example.com',
    'ada@',
    'ada@example',
    'ada@@example.com',
    'a b@example.com',
    'a\nb@example.com',
    '.ada@example.com',
    'a..b@example.com',
    'ada@example..com',
    'ada@-example.com',
    'ada@127.0.0.1',
    'ada@[::1]',
    'ada@exa_mple.com',
    'ada@example.com:25',
    'ada@пример.рф/x',
    'ada@пример.рф:80',
    'ada@x@пример.рф',
    'ada@xn--.рф',
    `${'a'.repeat(250)}@example.com`,
    `ada@${'ü'.repeat(70)}.com`,
    'ada@example.com\0',
  ])('such as %j is refused', given => {
    expect(email.safeParse(given).success).toBe(false)
  })

  it('of any text is looked at in no time worth measuring', () => {
    const texts = ['a', 'a.', '@', '.@', 'ü', '-', 'xn--'].map(part => part.repeat(60_000))
    const begun = performance.now()
    for (const text of [...texts, ...texts.map(part => `a@${part}`)]) email.safeParse(text)
    expect(performance.now() - begun).toBeLessThan(1_000)
  })
})

describe('a label', () => {
  it('of a name that nobody chose is the nearest that others can be shown', () => {
    expect(toLabel('Ada\n\u202eLovelace\0', 100)).toBe('Ada Lovelace')
    expect(toLabel('x'.repeat(99).concat('🙂'), 100)).toBe(`${'x'.repeat(99)}\ufffd`)
    for (const nothing of ['', ' ', '\u200b\u3164', '\u202e']) expect(toLabel(nothing, 100)).toBeNull()
  })

  it('keeps joiners, marks and scripts from right to left', () => {
    for (const name of ['👩‍👩‍👧', 'नमस्ते', 'עברית', '\u200fשלום']) expect(label(100).parse(name)).toBe(name)
  })
})

describe('the address of a picture', () => {
  it.each(['https://example.com/a.png?b=c#d', 'HTTP://example.com', 'https://bücher.example/ü'])(
    'may be %s',
    url => {
      expect(imageUrl.parse(url)).toBe(url)
    },
  )

  it.each([
    'http:example.com',
    'https://',
    ' https://a.b',
    'https://a.b/\u202e',
    'ftp://a.b',
    'javascript://a.b/%0aalert(1)',
  ])('may not be %j', url => {
    expect(imageUrl.safeParse(url).success).toBe(false)
  })
})
