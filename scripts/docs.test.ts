// Checks that the commands, files, variables, procedures and reasons in every Markdown page exist.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { REASONS } from '#server/rpc/errors.ts'
import { appRouter } from '#server/rpc/router.ts'
import type { ProcedureMeta } from '#server/rpc/trpc.ts'
import { INNER_PAGES, PAGES, root } from './documents.ts'
import { createProgram } from './kysely-migrate.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = [...PAGES, ...INNER_PAGES]
const pageAt = (path: string) => pages.find(page => page.path === path)?.text ?? ''

test('every command and flag that a page names exists', () => {
  const { scripts } = JSON.parse(read('package.json'))
  const commands = createProgram(new AbortController().signal).commands
  for (const { path, text } of pages) {
    for (const [, script = ''] of text.matchAll(/\bnpm run ([\w:]+)/g)) {
      expect(scripts, path).toHaveProperty([script])
    }
    for (const [used, name, flags = ''] of text.matchAll(/\bnpx kysely-migrate (\w+)((?: --[\w-]+)*)/g)) {
      const known = commands.find(command => command.name() === name)?.options.map(({ long }) => long)
      for (const flag of flags.split(' ').slice(1)) expect(known, `${path}: ${used}`).toContain(flag)
      expect(known, `${path}: ${used}`).toBeDefined()
    }
  }
})

test('docs/app.md names every entry of the package', () => {
  const { exports } = JSON.parse(read('package.json'))
  for (const entry of Object.keys(exports).filter(name => name !== './package.json'))
    expect(pageAt('docs/app.md')).toContain(`\`${entry.replace('.', 'rowhouse')}\``)
})

test('every file and heading that a page names exists', () => {
  const LINK = /\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g
  const PATH = /`((?:server|client|scripts|migrations|docs|examples|\.ci)\/[\w./-]*)`/g
  for (const { path, text } of pages) {
    for (const [, target = '', heading] of text.matchAll(LINK)) {
      const linked = target === '' ? path : join(path, '..', target)
      expect(existsSync(join(root, linked)), `${path}: ${target}`).toBe(true)
      if (heading) expect(headingsOf(pageAt(linked)), `${path}: ${target}#${heading}`).toContain(heading)
    }
    for (const [, named = ''] of text.matchAll(PATH)) {
      expect(existsSync(join(root, named)), `${path}: ${named}`).toBe(true)
    }
  }
})

/** The fragments by which GitHub and npm link to a page's headings. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

test('every variable that a page names exists, and docs/ names each variable', () => {
  const example = read('.env.example')
  const known = example + read('server/testing/environment.ts')
  const VARIABLE = /`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`/g
  for (const { path, text } of pages) {
    for (const [, name = ''] of text.matchAll(VARIABLE)) {
      expect(known, `${path}: ${name}`).toMatch(new RegExp(`\\b${name}\\b`))
    }
  }
  const named = PAGES.map(({ text }) => text).join()
  for (const [, name = ''] of example.matchAll(/^([A-Z0-9_]+)=/gm)) {
    expect(named, name).toMatch(new RegExp(`\`${name}\\b`))
  }
})

interface Definition {
  readonly _def: { readonly type: keyof typeof KINDS; readonly meta: ProcedureMeta }
}

const KINDS = { query: 'Q', mutation: 'M', subscription: 'S' }

test('docs/api.md names every procedure, with its kind and its scope', () => {
  const documented = new Map<string, string>()
  for (const [, names = '', kind, needs] of pageAt('docs/api.md').matchAll(
    /^\| ([^|]+) \| ([QMS]) \| `([^|`]+)` \|/gm,
  )) {
    for (const [, name = ''] of names.matchAll(/`([\w.]+)`/g)) documented.set(name, `${kind} ${needs}`)
  }
  const actual = Object.entries(appRouter._def.procedures as unknown as Record<string, Definition>).map(
    ([name, { _def }]) => [name, `${KINDS[_def.type]} ${_def.meta.permission}`],
  )
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(actual))
})

test('docs/app.md names every reason under its code', () => {
  let code = ''
  const documented: Record<string, string> = {}
  for (const [, named = '', reason = ''] of pageAt('docs/app.md').matchAll(
    /^\| ([A-Z_]*) ?\| `(\w+)` \|/gm,
  )) {
    code = named || code
    documented[reason] = code
  }
  expect(documented).toEqual(REASONS)
})
