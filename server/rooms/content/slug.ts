import { hash } from 'node:crypto'
import { MAX_SLUG } from './schema.ts'

/** Letters that Unicode normalization does not decompose. */
const LETTERS: Readonly<Record<string, string>> = Object.freeze({
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ł: 'l',
  ħ: 'h',
  ı: 'i',
  ŋ: 'ng',
  ĸ: 'k',
})

/** The maximum length of a slug derived from a title, which leaves room for a number. */
const MADE_LENGTH = 80

/**
 * Derives a slug of lower-case letters, digits and single hyphens from a title. A title without any gets a
 * slug from its hash.
 */
export function slugOf(title: string): string {
  const words = title
    // Before lower-casing, because № normalizes to No.
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '')
    .replace(/[ßæœøđðþłħıŋĸ]/g, letter => LETTERS[letter] ?? '')
    .replace(/['’ʼ]/g, '')
    .split(/[^a-z0-9]+/)
    .filter(word => word !== '')
  const slug = cut(words)
  return slug === '' ? `content-${hash('sha256', title).slice(0, 8)}` : slug
}

function cut(words: readonly string[]): string {
  let slug = ''
  for (const word of words) {
    const longer = slug === '' ? word : `${slug}-${word}`
    if (longer.length > MADE_LENGTH) return slug === '' ? word.slice(0, MADE_LENGTH) : slug
    slug = longer
  }
  return slug
}

/** Returns the part of a slug before its number: `name` for `name-2`. */
export function stemOf(slug: string): string {
  return slug
    .replace(/-[1-9]\d{0,5}$/, '')
    .slice(0, MAX_SLUG - 7)
    .replace(/-$/, '')
}

/** Returns the first of `stem-2`, `stem-3`, … that is not taken. */
export function firstFree(stem: string, taken: readonly string[]): string {
  const known = new Set(taken)
  for (let n = 2; ; n++) {
    const slug = `${stem}-${n}`
    if (!known.has(slug)) return slug
  }
}
