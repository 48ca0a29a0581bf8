// The Markdown pages and their code blocks, for the tests that check them.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export interface Page {
  /** Relative to the root. */
  readonly path: string
  readonly text: string
}

/** README.md and the pages below docs/, decisions aside. */
export const PAGES: readonly Page[] = ['README.md', ...globSync('docs/*.md', { cwd: root }).sort()].map(read)

/** The pages for contributors: the map, and the decisions. */
export const INNER_PAGES: readonly Page[] = [
  'ARCHITECTURE.md',
  ...globSync('docs/decisions/*.md', { cwd: root }).sort(),
].map(read)

function read(path: string): Page {
  return { path, text: readFileSync(join(root, path), 'utf8') }
}

/** The code of every block in this language. */
export function blocks(language: string): string[] {
  return PAGES.flatMap(({ text }) => [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)])
    .filter(([, name]) => name === language)
    .map(([, , code]) => code ?? '')
}

/** The only block in this language that contains `mark`. */
export function block(language: string, mark: string): string {
  const [code, ...others] = blocks(language).filter(candidate => candidate.includes(mark))
  if (code === undefined || others.length > 0)
    throw new Error(`the pages have ${code ? 'several' : 'no'} ${language} blocks that contain ${mark}`)
  return code
}
