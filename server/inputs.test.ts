import { describe, expect, it } from 'vitest'
import { json, jsonObject, url } from './inputs.ts'

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
