import fc from 'fast-check'
import superjson from 'superjson'
import { expect, it } from 'vitest'
import { transformer } from './transformer.ts'

const text = (value: unknown) => JSON.stringify(value)

/** What superjson makes of a value, an error included. */
function attempt(serialize: (value: unknown) => unknown, value: unknown): string | undefined {
  try {
    return text(serialize(value))
  } catch (error) {
    return String(error)
  }
}

const key = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('id', 'createdAt', 'a', 'b', 'items') },
  fc.constantFrom('0', '12', 'a.b', 'a\\', '.', '', '__proto__', 'constructor', 'toJSON'),
  fc.string({ maxLength: 3 }),
)
const leaf = fc.oneof(
  { weight: 4, arbitrary: fc.date({ noInvalidDate: false }) },
  { weight: 4, arbitrary: fc.oneof(fc.string(), fc.boolean(), fc.integer(), fc.double(), fc.constant(null)) },
  fc.constantFrom<unknown>(
    undefined,
    -0,
    5n,
    new Set([1]),
    new Map([['k', new Date(0)]]),
    new URL('https://a.b'),
    /x/g,
  ),
  fc.constantFrom<unknown>(
    new Error('e'),
    new Uint8Array([1]),
    new (class Own {
      x = 1
    })(),
    Object.prototype,
  ),
)
const { value } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: false }),
  ),
}))

it('writes every value as superjson does', () => {
  fc.assert(
    fc.property(value, any => {
      expect(attempt(transformer.serialize, any)).toBe(attempt(superjson.serialize, any))
    }),
    { numRuns: 20_000 },
  )
})

it('writes shared and circular objects as superjson does', () => {
  const date = new Date(0)
  const shared = { date }
  const circular: Record<string, unknown> = { shared }
  circular.self = circular
  for (const any of [
    [shared, shared],
    { a: date, b: date },
    { a: shared, list: [shared] },
    circular,
    [circular, circular],
  ]) {
    expect(attempt(transformer.serialize, any)).toBe(attempt(superjson.serialize, any))
  }
})

it('does not change the value', () => {
  const value = Object.freeze({
    at: Object.freeze(new Date(0)),
    rows: Object.freeze([Object.freeze({ at: new Date(1) })]),
  })
  expect(superjson.deserialize(transformer.serialize(value))).toEqual(value)
})
