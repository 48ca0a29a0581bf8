import { McpFailure } from './failure.ts'

const MAX_DEPTH = 64
/** Shorter values are words ("true", "8080") that a description may contain by chance. */
const MIN_SECRET_LENGTH = 8
const MASK = '•••'

/**
 * Returns a function that copies JSON into a form that Postgres can store: no NUL, no lone surrogates,
 * limited depth. Masks the server's secrets wherever it repeats them, because the copy is stored and shown
 * unencrypted.
 */
export function storableCopies(secrets: readonly string[]): (value: unknown) => unknown {
  const parts = new Set(secrets.flatMap(secret => [secret, ...secret.split(/\s+/)]))
  const masked = [...parts]
    .filter(part => part.length >= MIN_SECRET_LENGTH)
    .sort((a, b) => b.length - a.length)

  function text(value: string): string {
    const clean = value.replaceAll('\0', '').toWellFormed()
    return masked.reduce((left, secret) => left.replaceAll(secret, MASK), clean)
  }

  function copy(value: unknown, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new McpFailure('the server lists tools that are nested too deeply')
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(item => copy(item, depth + 1))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [text(key), copy(item, depth + 1)]))
  }

  return value => copy(value, 0)
}
