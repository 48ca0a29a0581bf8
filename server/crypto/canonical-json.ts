import type { Json } from '#server/rpc/inputs.ts'

/**
 * The canonical text of a JSON value, to be hashed or signed (JSON Canonicalization Scheme, RFC 8785):
 * members sorted by their names' UTF-16 code units, no white space, numbers and strings as in ECMAScript.
 * Throws TypeError for values outside of I-JSON: numbers that are not finite, and lone surrogates.
 */
export function canonicalJson(value: Json): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('a lone surrogate has no canonical form')
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`)
      return JSON.stringify(value)
    case 'boolean':
      return JSON.stringify(value)
    case 'object':
      return value === null ? 'null' : canonicalContainer(value)
    default:
      throw new TypeError(`${typeof value} is not JSON`)
  }
}

function canonicalContainer(value: Json[] | { [key: string]: Json }): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  // `<` compares UTF-16 code units, as the RFC asks.
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`).join(',')}}`
}
