import fc from 'fast-check'
import superjson, { SuperJSON } from 'superjson'
import { describe, expect, it } from 'vitest'
import { AppError } from './errors.ts'
import { readInput } from './superjson-input.ts'

/** What the server makes of what a client of this serializer sends. */
function received(value: unknown, serializer: Pick<SuperJSON, 'serialize'> = superjson): unknown {
  return readInput(JSON.parse(JSON.stringify(serializer.serialize(value))))
}

function refusalOf(text: string): string {
  try {
    readInput(JSON.parse(text))
  } catch (error) {
    if (error instanceof AppError && error.reason === 'invalid_input') return error.message
    throw error
  }
  throw new Error(`${text} was read`)
}

const key = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('id', 'expiresAt', 'a', 'b', 'items') },
  fc.constantFrom('0', '12', 'a.b', 'a\\', '\\.', '.', '', 'toString', 'json'),
  fc.string({ maxLength: 3 }).filter(name => name !== '__proto__'),
)
const leaf = fc.oneof(
  fc.date({ noInvalidDate: true }),
  fc.constantFrom(undefined, null, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.string(),
  fc.double(),
  fc.boolean(),
)
const { value } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}))

describe('an input of plain values, Dates, undefined and numbers', () => {
  it('is read as superjson reads it', () => {
    fc.assert(
      fc.property(value, any => {
        const text = JSON.stringify(superjson.serialize(any))
        expect(readInput(JSON.parse(text))).toStrictEqual(superjson.deserialize(JSON.parse(text)))
      }),
      { numRuns: 5_000 },
    )
  })

  it.each([
    '{"json":{"a\\\\b":"1970-01-01T00:00:00.000Z","c.d":null},"meta":{"values":{"a\\\\b":["Date"],"c\\\\.d":["undefined"]}}}',
    '{"json":["1970-01-01T00:00:00.000Z"],"meta":{"values":{"0":["Date"]},"v":0}}',
    '{"meta":{"values":["undefined"]}}',
    '{"json":{},"meta":{"values":{"left":["undefined"]}}}',
    '{"json":5}',
    '{"json":5,"meta":null}',
    '{}',
    '[]',
    '"text"',
  ])('is read as superjson reads it, from an older version: %s', text => {
    expect(readInput(JSON.parse(text))).toStrictEqual(superjson.deserialize(JSON.parse(text)))
  })

  it('may hold one object twice', () => {
    const entry = { at: new Date(0), text: 'x' }
    const twice = { first: entry, list: [entry, entry], date: entry.at }
    expect(received(twice)).toEqual(twice)
    expect(received([entry, entry])).toEqual([entry, entry])
  })
})

describe('an input is refused, and the answer says what for', () => {
  it.each([
    [new Set([1]), '"set"'],
    [new Map([[1, 2]]), '"map"'],
    [/x/, '"regexp"'],
    [new URL('https://a.b'), '"URL"'],
    [new Error('e'), '"Error"'],
    [5n, '"bigint"'],
    [new Uint8Array([1]), '"typed-array"'],
    [{ deep: [{ set: new Set([new Date(0)]) }] }, '"set" of "deep.0.set"'],
  ])('for %o', (any, named) => {
    expect(refusalOf(JSON.stringify(superjson.serialize(any)))).toContain(`the kind ${named}`)
  })

  it.each([
    ['{"json":1,"meta":{"values":[["class","Date"]]}}', 'the kind "class"'],
    ['{"json":{"a":1},"meta":{"values":{"a":[["symbol","x"]]}}}', 'the kind "symbol" of "a"'],
    ['{"json":{"a":1},"meta":{"values":{"a":[["custom","x"]]}}}', 'the kind "custom"'],
    ['{"json":{"a":1},"meta":{"values":{"a":["toString"]}}}', 'the kind "toString"'],
    ['{"json":{"a":1},"meta":{"values":{"a":["Date",{"b":["Date"]}]}}}', 'the kind "Date"'],
    ['{"json":{"a":1},"meta":{"values":{"a":{"b":["Date"]}}}}', 'must name a kind for "a"'],
    ['{"json":{"a":1},"meta":{"values":"Date"}}', 'must be an object'],
    ['{"json":{"a":"x"},"meta":{"values":{"a":["Date"]}}}', 'toISOString'],
    ['{"json":{"a":{}},"meta":{"values":{"a":["Date"]}}}', 'toISOString'],
    ['{"json":{"a":"12"},"meta":{"values":{"a":["number"]}}}', 'NaN'],
    ['{"json":{},"meta":{"values":{"a":["Date"]}}}', 'nothing at "a"'],
    ['{"json":{"a":1},"meta":{"values":{"a.b.c":["undefined"]}}}', 'nothing at "a.b.c"'],
    ['{"json":[],"meta":{"values":{"4294967294":["undefined"]}}}', 'nothing at "4294967294"'],
    ['{"json":[1],"meta":{"values":{"length":["undefined"]}}}', 'nothing at "length"'],
    ['{"json":[1],"meta":{"values":{"00":["undefined"]}}}', 'nothing at "00"'],
    ['{"json":{"a":1},"meta":{"values":{"__proto__.x":["undefined"]}}}', 'through __proto__'],
    ['{"json":{"a":1},"meta":{"values":{"constructor":["undefined"]}}}', 'through constructor'],
    ['{"json":{"a":1},"meta":{"values":{"a.prototype.x":["undefined"]}}}', 'through prototype'],
    ['{"json":{"a":1},"meta":{"values":{"toString.x":["undefined"]}}}', 'nothing at "toString.x"'],
    ['{"json":{"a":1},"meta":{"values":{"\\\\a":["undefined"]},"v":1}}', 'backslash'],
    ['{"json":{"a":1},"meta":{"referentialEqualities":{"a":["constructor.prototype.x"]}}}', 'constructor'],
    ['{"json":{"a":1},"meta":{"referentialEqualities":{"a":["b"]}}}', 'nothing at "b"'],
    ['{"json":{"a":1},"meta":{"referentialEqualities":{"a":"a"}}}', 'must list paths'],
    ['{"json":{"a":1},"meta":{"referentialEqualities":[[{}]]}}', 'must list paths'],
  ])('%s', (text, named) => {
    expect(refusalOf(text)).toContain(named)
  })

  it('for an object that a client left out where it occurs again', () => {
    const entry = { text: 'x' }
    const serializer = new SuperJSON({ dedupe: true })
    expect(() => received({ first: entry, second: entry }, serializer)).toThrow(
      'the shared value at "second" is left out',
    )
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(() => received(circular)).toThrow('the shared value at "self" is left out')
  })

  it('for more annotated values than any input has', () => {
    const nothing = (count: number) => received(Array.from({ length: count }, () => undefined))
    expect(nothing(10_000)).toHaveLength(10_000)
    expect(() => nothing(10_001)).toThrow('meta.values names 10001 values, and may name 10000')
  })

  it('with a sentence that stays short, whatever the caller wrote', () => {
    const long = 'x'.repeat(500_000)
    for (const meta of [
      { values: { [long]: ['Date'] } },
      { values: [long] },
      { values: { [`${'a.'.repeat(100_000)}b`]: ['Date'] } },
      { referentialEqualities: { a: [long] } },
    ]) {
      expect(refusalOf(JSON.stringify({ json: {}, meta })).length).toBeLessThan(300)
    }
  })
})
