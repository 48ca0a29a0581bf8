import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { nestsTooDeep } from '#server/http/json-depth.ts'
import { AppError } from '#server/rpc/errors.ts'
import type { Json } from '#server/rpc/inputs.ts'
import type { JsonObject } from './provider.ts'

/**
 * Parses a body as a JSON object that Postgres and our answers can hold: NUL and lone surrogates become
 * U+FFFD, and a member whose name superjson refuses gets an underscore at its end. Throws `invalid_input` for
 * anything else.
 */
export function parsePayload(body: Buffer): JsonObject {
  const text = isUtf8(body) ? body.toString('utf8') : null
  if (text === null || nestsTooDeep(text)) throw malformed()
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed()
  makeStorable(value as JsonObject)
  return value as JsonObject
}

/** Parses a verified body with a schema. Throws `invalid_input` if it does not match. */
export function expectShape<S extends z.core.$ZodType>(schema: S, payload: unknown): z.output<S> {
  const result = z.safeParse(schema, payload)
  if (!result.success) throw malformed(result.error)
  return result.data
}

/** An id or a name in a body or a header: a short text that Postgres can store. */
export const shortText = z.string().regex(/^[\x21-\x7e]{1,200}$/)

export function malformed(cause?: unknown): AppError {
  return new AppError('invalid_input', "the body or its headers are not of the provider's form", { cause })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw malformed(error)
  }
}

const UNWRITABLE_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** Changes the parsed value in place: bodies may have 25 MB, and few need a change. */
function makeStorable(value: Json): void {
  if (typeof value !== 'object' || value === null) return
  // For an array these are its indices.
  const members = value as JsonObject
  for (const name of Object.keys(members)) {
    const member = members[name] as Json
    const storableName = nameOf(name)
    const storable = typeof member === 'string' ? storableText(member) : member
    if (storableName !== name) delete members[name]
    if (storableName !== name || storable !== member) members[storableName] = storable
    makeStorable(storable)
  }
}

function nameOf(name: string): string {
  const storable = storableText(name)
  return UNWRITABLE_NAMES.has(storable) ? `${storable}_` : storable
}

function storableText(text: string): string {
  return text.isWellFormed() && !text.includes('\0') ? text : text.toWellFormed().replaceAll('\0', '\uFFFD')
}
