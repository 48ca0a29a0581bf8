// Follows the recipes of ARCHITECTURE.md in a copy of the tree: adds a column of tasks, and a room with a
// table and procedures copied from `settings`.
import { execFile } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from './documents.ts'

const run = promisify(execFile)
const bin = join(root, 'node_modules/.bin')
const tree = mkdtempSync(join(tmpdir(), 'rowhouse-recipes-'))
// Without TEST_DIRECT_URL and the like: the suite in the copy runs on its own embedded Postgres.
const env = { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`, DATA_DIR: join(tree, 'data') }

const FOLDERS = ['server', 'client', 'scripts', 'migrations', 'docs', 'examples']
const FILES = [
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  '.env.example',
  'README.md',
  'ARCHITECTURE.md',
]

beforeAll(() => {
  const filter = (path: string) => !path.includes('node_modules')
  for (const name of [...FOLDERS, ...FILES])
    cpSync(join(root, name), join(tree, name), { recursive: true, filter })
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
})
afterAll(() => rmSync(tree, { recursive: true, force: true }))

const read = (path: string) => readFileSync(join(tree, path), 'utf8')

const COLUMN = 'A column'
const TABLE = 'A table'
const ROOM = 'A room'
const PROCEDURE = 'A procedure'

/** The files that a recipe names. */
function pathsOf(recipe: string): string[] {
  const section = read('ARCHITECTURE.md').split(`### ${recipe},`)[1]?.split('\n### ')[0] ?? ''
  return [...section.matchAll(/`([\w.-]+(?:\/[\w.-]+)*)`/g)].map(([, path = '']) => path)
}

/**
 * The only file of a recipe whose path ends so; a file of the room itself only if `ending` names the room.
 */
function pathIn(recipe: string, ending: string): string {
  const isSought = (path: string) =>
    path.endsWith(ending) && (ending.includes('settings') || !path.includes('/settings/'))
  const [path, ...others] = new Set(pathsOf(recipe).filter(isSought))
  if (path === undefined || others.length > 0)
    throw new Error(`the recipe "${recipe}" does not name one file …${ending}`)
  return path
}

function edit(path: string, change: (text: string) => string): void {
  const text = read(path)
  const changed = change(text)
  if (changed === text) throw new Error(`${path} has no match to copy`)
  writeFileSync(join(tree, path), changed)
}

/** Renames settings to preferences in a text. */
function imitate(text: string): string {
  return text
    .replaceAll('setting', 'preference')
    .replaceAll('Setting', 'Preference')
    .replaceAll('SETTING', 'PREFERENCE')
}

/** Inserts a renamed copy after each match. */
const after = (pattern: RegExp, imitation: (match: string) => string) => (text: string) =>
  text.replace(pattern, match => match + imitation(match))

/** The tests that report a forgotten step or other breakage. */
const CHECKS = {
  'server/rooms/account/export.test.ts': 'lists every table with a user',
  'server/db/triggers.test.ts': 'lists the triggers',
  'server/testing/isolation/tables.test.ts': 'reads and writes the caller’s own rows',
  'server/testing/isolation/procedures.test.ts': 'preferences\\.|tasks\\.create',
  'server/testing/isolation/catalog-lint.test.ts': 'finds nothing in the database',
  'server/testing/isolation/imports.test.ts': 'the router|the schema|uses no code',
  'scripts/docs.test.ts': 'names every procedure',
}

interface TestFile {
  readonly name: string
  readonly status: string
  readonly assertionResults: readonly { readonly status: string }[]
}

/** The files that the compiler and the suite report: tests that fail, and files with type errors. */
async function complaints(): Promise<string[]> {
  await node('scripts/kysely-migrate.ts', 'codegen')
  const report = join(tree, 'report.json')
  const only = ['--testNamePattern', Object.values(CHECKS).join('|')]
  const reporter = ['--reporter=json', `--outputFile=${report}`]
  const [compiled] = await Promise.all([
    tool('tsc', '--noEmit'),
    tool('vitest', 'run', ...Object.keys(CHECKS), ...only, ...reporter),
  ])
  const results: TestFile[] = JSON.parse(readFileSync(report, 'utf8')).testResults
  // A name that no test has any more would check nothing.
  const ran = results.filter(
    ({ status, assertionResults: tests }) =>
      status === 'failed' || tests.some(({ status }) => status === 'passed'),
  )
  expect(ran).toHaveLength(Object.keys(CHECKS).length)
  const failed = results.filter(({ status }) => status === 'failed')
  const refused = [...compiled.matchAll(/^(\S+?)\(\d+,\d+\): error/gm)]
  return [...failed.map(({ name }) => name.slice(tree.length + 1)), ...refused.map(([, file = '']) => file)]
}

const node = (...args: string[]) => run(process.execPath, args, { cwd: tree, env })

/** Runs a tool that may fail, and returns its output. */
async function tool(name: string, ...args: string[]): Promise<string> {
  const finished = run(join(bin, name), args, { cwd: tree, env, maxBuffer: 2 ** 26 })
  return (await finished.catch((error: { stdout: string }) => error)).stdout
}

test('the compiler and the tests that a recipe names report each forgotten step', {
  timeout: 300_000,
}, async () => {
  edit(
    pathIn(COLUMN, '.sql'),
    after(/^ {2}completed_at timestamptz,\n/m, () => '  due_at timestamptz,\n'),
  )

  const table = /^create table app\.settings \(.*?(?=^create (?:table|function) )/ms
  const sql = globSync('migrations/0*.sql', { cwd: tree }).flatMap(path => table.exec(read(path))?.[0] ?? [])
  await node('scripts/kysely-migrate.ts', 'create', 'add_preferences')
  const [migration = ''] = globSync('migrations/*_add_preferences.sql', { cwd: tree })
  edit(migration, text =>
    text
      .replace('-- migrate:up\n', up => `${up}\n${imitate(sql.join())}\n`)
      .replace('-- migrate:down\n', down => `${down}\ndrop table app.preferences;\n`),
  )

  const room = dirname(pathIn(ROOM, '/settings/router.ts'))
  const filter = (path: string) => !path.endsWith('.test.ts')
  cpSync(join(tree, room), join(tree, imitate(room)), { recursive: true, filter })
  for (const file of globSync(`${imitate(room)}/*.ts`, { cwd: tree })) edit(file, imitate)
  edit(pathIn(ROOM, '/router.ts'), after(/^.*settings.*\n/gim, imitate))
  edit(pathIn(ROOM, '/scopes.ts'), after(/^.*settings.*\n/gm, imitate))

  const reported = await complaints()
  const named = [COLUMN, TABLE, ROOM, PROCEDURE].flatMap(pathsOf).filter(path => path.endsWith('.test.ts'))
  expect(reported).toEqual(expect.arrayContaining(named))
  expect(reported.filter(path => !path.endsWith('.test.ts'))).not.toEqual([])
})

test('the compiler and the tests report nothing once the recipes are followed', {
  timeout: 300_000,
}, async () => {
  edit(
    pathIn(COLUMN, '/tasks/schema.ts'),
    after(/^ {2}completedAt: true,\n/m, () => '  dueAt: true,\n'),
  )
  edit(pathIn(TABLE, '/export-tables.ts'), after(/^ {2}'app\.settings': \[\],\n/m, imitate))
  edit(pathIn(TABLE, '/dataset.ts'), after(/^ {4}\[\n *`insert into app\.settings.*?^ {4}\],\n/ms, imitate))
  edit(pathIn(ROOM, 'client/schema.ts'), after(/^.*settings.*\n/gm, imitate))
  edit(pathIn(PROCEDURE, '/account.ts'), text =>
    after(
      /^ {2}'settings\..*\n/gm,
      imitate,
    )(text.replace("'settings' |", settings => `${settings} 'preferences' |`)),
  )
  edit(pathIn(PROCEDURE, 'docs/api.md'), after(/^.*`settings\..*\n/gm, imitate))

  expect(await complaints()).toEqual([])
})
