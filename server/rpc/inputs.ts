// Pieces of schemas that every room uses. Imports zod only: the client may have them, too.
import { z } from 'zod'

/**
 * Text of at most `max` UTF-16 code units. Postgres stores no NUL, and a lone surrogate would be changed in silence on its way
 * to UTF-8, so both are refused.
 */
export function text(max: number) {
  return z.string().max(max).refine(isStorable, UNSTORABLE)
}

const UNSTORABLE = 'must be well-formed text without NUL'

function isStorable(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0')
}

/** Text that says something: not empty, and not only white space. */
export function filledText(max: number) {
  return text(max).refine(value => value.trim() !== '', 'must not be empty')
}

// Line and paragraph breaks, other control characters, and what reorders the text around it.
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u
const UNPRINTABLE_RUNS = new RegExp(`${UNPRINTABLE.source}+`, 'gu')
/** Signs that leave no mark, the Braille blank included. */
const INVISIBLE = /[\s\p{Default_Ignorable_Code_Point}\u2800]/gu

/** A name that others are shown: on one line, with something to see, and without signs that reorder the text around it. */
export function label(max: number) {
  return text(max)
    .refine(value => value.replace(INVISIBLE, '') !== '', 'must not be empty')
    .refine(
      value => !UNPRINTABLE.test(value),
      'must not hold line breaks, control characters or overrides of direction',
    )
}

/** The nearest text that {@link label} takes; null where nothing is left to see. For names that no caller of ours chose. */
export function toLabel(value: string, max: number): string | null {
  const cleaned = value.toWellFormed().replace(UNPRINTABLE_RUNS, ' ').trim().slice(0, max).toWellFormed()
  return label(max).safeParse(cleaned).success ? cleaned : null
}

const LOCAL_PART = /^(?:[a-z0-9_'+-]+\.)*[a-z0-9_'+-]*[a-z0-9_+-]$/
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{0,58}[a-z0-9])$/
const MAX_EMAIL_LENGTH = 254

/**
 * A mail address, in the one form in which addresses are stored and compared: lower case, an internationalised domain in ASCII
 * (`user@bücher.example` and `User@xn--bcher-kva.example` are the same).
 */
export const email = z
  .string()
  .max(MAX_EMAIL_LENGTH, { abort: true })
  .overwrite(toEmail)
  .refine(isEmail, 'must be a mail address')

/** The form of an address that {@link email} returns; a text that is no address comes back in lower case. */
export function toEmail(address: string): string {
  const lower = address.trim().toLowerCase()
  const at = lower.lastIndexOf('@')
  const domain = lower.slice(at + 1)
  // Only a name: what else a URL may hold there would be read as something else.
  if (at < 1 || !/[^\0-\x7f]/.test(domain) || /[\0-,/:-@[-`{-\x7f\s]/.test(domain)) return lower
  try {
    return `${lower.slice(0, at)}@${new URL(`http://${domain}`).hostname}`
  } catch {
    return lower
  }
}

function isEmail(address: string): boolean {
  const at = address.lastIndexOf('@')
  return (
    address.length <= MAX_EMAIL_LENGTH &&
    LOCAL_PART.test(address.slice(0, at)) &&
    DOMAIN.test(address.slice(at + 1))
  )
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Any JSON value, as an answer holds it. */
export const jsonValue = z.custom<Json>(value => z.json().safeParse(value).success)

const MAX_JSON_BYTES = 256 * 1024
const MAX_JSON_DEPTH = 64

/** Names that superjson refuses to write: a row that held one could not be read any more. */
const UNWRITABLE_NAMES: readonly string[] = ['__proto__', 'constructor', 'prototype']

/**
 * A JSON value that Postgres keeps as it is: of at most `maxBytes` in UTF-8, nested no deeper than 64, and with text as
 * {@link text} takes it. Dates, maps and whatever else superjson carries are no JSON.
 */
export function json(maxBytes = MAX_JSON_BYTES) {
  return z.custom<Json>().superRefine((value, ctx) => {
    const problem = jsonProblem(value, maxBytes)
    if (problem !== null) ctx.addIssue({ code: 'custom', message: problem })
  })
}

/** The same for a JSON object. */
export function jsonObject(maxBytes = MAX_JSON_BYTES) {
  return json(maxBytes).pipe(
    z.custom<{ [key: string]: Json }>(
      value => typeof value === 'object' && value !== null && !Array.isArray(value),
      'must be an object',
    ),
  )
}

function jsonProblem(value: unknown, maxBytes: number): string | null {
  const problem = findProblem(value, { charactersLeft: maxBytes }, 0)
  if (problem !== null) return problem
  return new TextEncoder().encode(JSON.stringify(value)).length > maxBytes ? TOO_LARGE : null
}

const TOO_LARGE = 'is too large'

/**
 * Every value takes from what is left, so that this ends soon where branches share what they hold: superjson makes of a small
 * input one that is endless when written out.
 */
function findProblem(value: unknown, budget: { charactersLeft: number }, depth: number): string | null {
  budget.charactersLeft -= typeof value === 'string' ? value.length + 2 : 1
  if (budget.charactersLeft < 0) return TOO_LARGE
  if (value === null || typeof value === 'boolean') return null
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'must hold finite numbers only'
  if (typeof value === 'string') return isStorable(value) ? null : 'must hold well-formed text without NUL'
  if (typeof value !== 'object' || !isPlain(value)) return 'must be JSON'
  if (depth === MAX_JSON_DEPTH) return `must not be nested deeper than ${MAX_JSON_DEPTH}`
  if (Array.isArray(value)) {
    for (const element of value) {
      const problem = findProblem(element, budget, depth + 1)
      if (problem !== null) return problem
    }
    return null
  }
  for (const [name, member] of Object.entries(value)) {
    if (UNWRITABLE_NAMES.includes(name)) return `must not have a member named ${name}`
    const problem = findProblem(name, budget, depth) ?? findProblem(member, budget, depth + 1)
    if (problem !== null) return problem
  }
  return null
}

function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

export const id = z.guid()

/** What a procedure returns that answers nothing. */
export const nothing = z.void()

export const url = z
  .url({ protocol: /^https?$/ })
  .max(2_048)
  .refine(isStorable, UNSTORABLE)

const WEB_ADDRESS = /^https?:\/\/[^\s\p{Cc}\u202a-\u202e\u2066-\u2069]+$/iu

/** The address of a picture that others are shown: http or https, never one that runs something. */
export const imageUrl = text(2_048).refine(
  value => WEB_ADDRESS.test(value) && URL.canParse(value),
  'must be an http or https address',
)

const DEFAULT_PAGE_SIZE = 20
const MAX_PAGE_SIZE = 100

/** TanStack's infinite queries send it with every page. It has no effect: a cursor leads one way. */
const direction = z.enum(['forward', 'backward']).optional()

/**
 * The input of a list that is read page by page; `cursor` is what the page before returned, and null or nothing for the first
 * page.
 */
export function page<C extends z.core.SomeType>(cursor: C) {
  return {
    cursor: z.nullish(cursor),
    direction,
    limit: z.int().min(1).max(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
  }
}

/** What such a list returns: a page of items, and where the next one starts; null behind the last one. */
export function pageOf<S extends z.core.SomeType>(item: S) {
  return z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() })
}

/** The input of a list whose pages are asked for by number, counted from 1; a cursor can't be given as well. */
export function numberedPage(maxPage: number) {
  return {
    cursor: z.null().optional(),
    direction,
    page: z.int().min(1).max(maxPage),
    pageSize: z.int().min(1).max(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
  }
}

/** What such a list returns: a page of items, and how many there are on all pages. */
export function numberedPageOf<S extends z.core.SomeType>(item: S) {
  return z.strictObject({ items: z.array(item), total: z.int() })
}
