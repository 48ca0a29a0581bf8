import { z } from 'zod'

/**
 * A place in an input for a hostile value: the JSON before and after it, with valid values everywhere else.
 */
export interface Place {
  readonly name: string
  readonly before: string
  readonly after: string
  /** A valid element, if the place is a list. */
  readonly sample: string
}

const MAX_DEPTH = 4
const UUID = '00000000-0000-4000-8000-000000000000'
/** Tried in turn for a value with a format or a check of its own. */
const CANDIDATES: readonly unknown[] = [
  'a',
  '1',
  UUID,
  'https://a.b/',
  'a@b.de',
  'en',
  'UTC',
  'video/mp4',
  1,
  0,
  true,
  null,
  {},
  [],
  ['a'],
  `normal:${UUID}`,
  `1_${UUID}`,
  'a'.repeat(40),
  undefined,
]

/** All places in the inputs that a schema describes, the whole input first. */
export function placesOf(schema: z.core.$ZodType, name = 'the input', depth = 0): Place[] {
  const own = { name, before: '', after: '', sample: '0' }
  if (depth > MAX_DEPTH) return [own]
  const { def } = schema._zod as { def: z.core.$ZodTypes['_zod']['def'] }
  switch (def.type) {
    case 'object': {
      const members = Object.entries(def.shape)
      const sample = sampleOf(schema) as Record<string, unknown>
      const inner = members.flatMap(([key, member]) => {
        const others = members.flatMap(([other]) => (other === key ? [] : memberText(other, sample[other])))
        const before = `{${others.map(text => `${text},`).join('')}${JSON.stringify(key)}:`
        const label = depth === 0 ? key : `${name}.${key}`
        return placesOf(member, label, depth + 1).map(place => wrapped(place, before, '}'))
      })
      return [own, ...inner]
    }
    case 'array': {
      const sample = JSON.stringify(sampleOf(def.element)) ?? '0'
      const inner = placesOf(def.element, `${name}[]`, depth + 1).map(place => wrapped(place, '[', ']'))
      return [{ ...own, sample }, ...inner]
    }
    case 'record': {
      const key = JSON.stringify(String(sampleOf(def.keyType) ?? 'a'))
      const inner = placesOf(def.valueType, `${name}{}`, depth + 1)
      return [own, ...inner.map(place => wrapped(place, `{${key}:`, '}'))]
    }
    case 'union':
      return [own, ...def.options.flatMap(option => placesOf(option, name, depth).slice(1))]
    case 'pipe':
      return [...placesOf(def.in, name, depth), ...placesOf(def.out, name, depth).slice(1)]
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
      return placesOf(def.innerType, name, depth)
    default:
      return [own]
  }
}

function wrapped(place: Place, before: string, after: string): Place {
  return { ...place, before: before + place.before, after: place.after + after }
}

function memberText(key: string, value: unknown): string[] {
  const text = JSON.stringify(value)
  return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`]
}

/** A JSON value that the schema accepts; undefined if none is found. */
export function sampleOf(schema: z.core.$ZodType): unknown {
  const { def } = schema._zod as { def: z.core.$ZodTypes['_zod']['def'] }
  switch (def.type) {
    case 'optional':
    case 'default':
    case 'prefault':
      return undefined
    case 'object': {
      const members = Object.entries(def.shape).map(([key, member]) => [key, sampleOf(member)] as const)
      const sample = Object.fromEntries(members.filter(([, value]) => value !== undefined))
      // If the object is refused as a whole, another value of one member may be accepted.
      const others = members.flatMap(([key]) => CANDIDATES.map(value => ({ ...sample, [key]: value })))
      return [sample, ...others].find(value => z.safeParse(schema, value).success) ?? sample
    }
    case 'array': {
      const sample = sampleOf(def.element)
      return [[], [sample]].find(value => z.safeParse(schema, value).success) ?? [sample]
    }
    case 'union':
      return def.options[0] && sampleOf(def.options[0])
    case 'enum':
      return Object.values(def.entries)[0]
    case 'literal':
      return def.values[0]
    default:
      return CANDIDATES.find(value => z.safeParse(schema, value).success)
  }
}
