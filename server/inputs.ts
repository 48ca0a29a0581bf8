// Pieces of input schemas that every room uses. Imports zod only: the client may have them, too.
import { z } from 'zod'

/**
 * Text of at most `max` UTF-16 code units. Postgres stores no NUL, and a lone surrogate would be changed in silence on its way
 * to UTF-8, so both are refused.
 */
export function text(max: number) {
  return z
    .string()
    .max(max)
    .refine(value => value.isWellFormed() && !value.includes('\0'), 'must be well-formed text without NUL')
}

/** Text that says something: not empty, and not only white space. */
export function filledText(max: number) {
  return text(max).refine(value => value.trim() !== '', 'must not be empty')
}

export const id = z.guid()

export const url = z.url({ protocol: /^https?$/ }).max(2_048)

export const DEFAULT_PAGE_SIZE = 20
export const MAX_PAGE_SIZE = 100

/** The input of a list that is read page by page; `cursor` is what the page before returned. */
export function page<C extends z.ZodType>(cursor: C) {
  return {
    cursor: cursor.optional(),
    limit: z.int().min(1).max(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
  }
}
