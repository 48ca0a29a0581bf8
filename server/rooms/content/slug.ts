import { hash } from 'node:crypto'
import { MAX_SLUG } from './schema.ts'

/** Letters that no accent can be taken off. */
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

/** What a slug made from a title is cut to, so that a number finds room behind it. */
const MADE_LENGTH = 80

/** Writes a title in letters, digits and single hyphens. One that has none of them gives a name that its text decides. */
export function slugOf(title: string): string {
  const words = title
    // Before the letters are made small: № becomes No, and its N has to become an n.
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

/** The part of a slug before its number: `name` of `name-2`. */
export function stemOf(slug: string): string {
  return slug
    .replace(/-[1-9]\d{0,5}$/, '')
    .slice(0, MAX_SLUG - 7)
    .replace(/-$/, '')
}

/** The first of `stem-2`, `stem-3`, … that is not among these. */
export function firstFree(stem: string, taken: readonly string[]): string {
  const known = new Set(taken)
  for (let n = 2; ; n++) {
    const slug = `${stem}-${n}`
    if (!known.has(slug)) return slug
  }
}
