import { AppError } from './errors.ts'

// superjson revives every kind of value that a caller names: Sets, Maps, RegExps, Errors, shared objects. 349 kB
// of paths into one Set take it 15 seconds, and inputs are read before a credential is looked up. Input schemas
// take Dates and optional fields, so this reads those kinds alone, in linear time.

/** The kinds that `meta.values` may name, each with the function that makes its value of the JSON. */
const KINDS: Readonly<Record<string, (written: unknown) => unknown>> = {
  undefined: () => undefined,
  Date: readDate,
  number: readNumber,
}

const MAX_VALUES = 10_000
/** Names in a path: as many as JSON may nest. */
const MAX_PATH_LENGTH = 200
/** `toISOString` writes at most 27 characters. */
const MAX_DATE_LENGTH = 64
const MAX_QUOTED_LENGTH = 60

/**
 * Reads an input as superjson writes it. Changes the payload: its JSON becomes the input. Throws `invalid_input` for
 * kinds that no input schema takes. Does not apply `meta.referentialEqualities`: superjson writes a shared object
 * out at each place, so the places get equal objects, though not the same one.
 */
export function readInput(payload: unknown): unknown {
  const { json, meta } = payload as { json: unknown; meta?: Meta | null }
  if (!meta) return json
  const root: Root = { json }
  const isLegacy = !(Number(meta.v ?? 0) >= 1)
  if (meta.referentialEqualities) checkShared(root, meta.referentialEqualities, isLegacy)
  if (meta.values) readValues(root, meta.values, isLegacy)
  return root.json
}

interface Meta {
  readonly values?: unknown
  readonly referentialEqualities?: unknown
  readonly v?: unknown
}

/** Holds the input as a member, so that the input itself is found like anything in it. */
interface Root {
  json: unknown
}

function readValues(root: Root, values: unknown, isLegacy: boolean): void {
  if (Array.isArray(values)) {
    root.json = kindOf(values, '')(root.json)
    return
  }
  if (!isRecord(values)) throw refused('meta.values must be an object of paths')
  const paths = Object.keys(values)
  if (paths.length > MAX_VALUES) {
    throw refused(`meta.values names ${paths.length} values, and may name ${MAX_VALUES}`)
  }
  for (const path of paths) {
    const read = kindOf(values[path], path)
    const { parent, key } = holderOf(root, path, isLegacy)
    // Older versions of superjson leave the member out.
    if (!hasMember(parent, key) && (read !== KINDS.undefined || Array.isArray(parent))) throw noSuchPath(path)
    parent[key] = read(parent[key])
  }
}

/** The function that reads the value at a path. superjson writes `["Date"]`, and `["set", {…}]` for a container. */
function kindOf(annotation: unknown, path: string): (written: unknown) => unknown {
  if (!Array.isArray(annotation)) throw refused(`meta.values must name a kind for ${quote(path)}`)
  const [kind, inner] = annotation
  // A class, a symbol or a typed array comes as a pair of kind and name.
  const name: unknown = Array.isArray(kind) ? kind[0] : kind
  if (typeof name === 'string' && name === kind && inner === undefined && Object.hasOwn(KINDS, name)) {
    return KINDS[name] as (written: unknown) => unknown
  }
  throw refused(
    `the kind ${quote(String(name))} of ${quote(path)} is not read: send Date, undefined, numbers and plain JSON`,
  )
}

function readDate(written: unknown): Date {
  const isShort =
    typeof written === 'number' || (typeof written === 'string' && written.length <= MAX_DATE_LENGTH)
  const date = new Date(isShort ? written : Number.NaN)
  if (Number.isNaN(date.getTime())) throw refused('a Date must be written as toISOString does')
  return date
}

const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
}

function readNumber(written: unknown): number {
  if (typeof written === 'string' && Object.hasOwn(NUMBERS, written)) return NUMBERS[written] as number
  throw refused('a number that JSON lacks must be NaN, Infinity, -Infinity or -0')
}

/**
 * Throws where a shared object is not written out. With `dedupe`, and for an object that holds itself, superjson
 * writes null in its place, which would be stored as the value.
 */
function checkShared(root: Root, equalities: unknown, isLegacy: boolean): void {
  const [ofRoot, others] = Array.isArray(equalities) ? equalities : [[], equalities]
  for (const paths of [ofRoot, ...(isRecord(others) ? Object.values(others) : [])]) {
    if (!Array.isArray(paths)) throw refused('meta.referentialEqualities must list paths')
    for (const path of paths) {
      if (typeof path !== 'string') throw refused('meta.referentialEqualities must list paths')
      const { parent, key } = holderOf(root, path, isLegacy)
      if (!hasMember(parent, key)) throw noSuchPath(path)
      if (parent[key] === null) {
        throw refused(
          `the shared value at ${quote(path)} is left out: write it wherever it occurs, without dedupe`,
        )
      }
    }
  }
}

interface Holder {
  readonly parent: Record<string, unknown>
  readonly key: string
}

/** The object or array that holds a path's last member, which itself may be missing. */
function holderOf(root: Root, path: string, isLegacy: boolean): Holder {
  let parent: unknown = root
  let key = 'json'
  const keys = keysOf(path, isLegacy)
  if (keys.length > MAX_PATH_LENGTH)
    throw refused(`the path ${quote(path)} is longer than ${MAX_PATH_LENGTH} names`)
  for (const next of keys) {
    if (FORBIDDEN_NAMES.has(next)) throw refused(`the path ${quote(path)} leads through ${next}`)
    parent = hasMember(parent, key) ? parent[key] : undefined
    key = next
  }
  if (typeof parent !== 'object' || parent === null) throw noSuchPath(path)
  return { parent: parent as Record<string, unknown>, key }
}

const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
const ARRAY_INDEX = /^(?:0|[1-9]\d{0,9})$/

/** Whether an object or an array has this member. An index behind an array's end is none: it would make it longer. */
function hasMember(parent: unknown, key: string): parent is Record<string, unknown> {
  if (typeof parent !== 'object' || parent === null) return false
  if (Array.isArray(parent)) return ARRAY_INDEX.test(key) && Number(key) < parent.length
  return Object.hasOwn(parent, key)
}

/** The names in a path: joined by dots, with a backslash before a dot or a backslash in a name. */
function keysOf(path: string, isLegacy: boolean): string[] {
  if (!path.includes('\\')) return path.split('.', MAX_PATH_LENGTH + 1)
  const keys: string[] = []
  let key = ''
  for (let index = 0; index < path.length && keys.length <= MAX_PATH_LENGTH; index++) {
    const char = path.charAt(index)
    const next = path.charAt(index + 1)
    if (char === '.') {
      keys.push(key)
      key = ''
    } else if (char === '\\' && (next === '.' || (next === '\\' && !isLegacy))) {
      key += next
      index++
    } else if (char === '\\' && !isLegacy) {
      throw refused(`the path ${quote(path)} has a backslash before neither a dot nor a backslash`)
    } else {
      key += char
    }
  }
  keys.push(key)
  return keys
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function noSuchPath(path: string): AppError {
  return refused(`the input has nothing at ${quote(path)}`)
}

/** What a caller wrote, cut short: it is in an answer. */
function quote(text: string): string {
  const shown = text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH)}…` : text
  return JSON.stringify(shown)
}

function refused(message: string): AppError {
  return new AppError('invalid_input', message)
}
