// Holds README.md, ARCHITECTURE.md and the decisions to what there is: README's calls run, as they are written, against a server
// that was started as README says.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort, type ServerProcess, startServerProgram } from '#server/testing/server-process.ts'
import { createProgram } from './kysely-migrate.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const readme = read('README.md')
const packageJson = JSON.parse(read('package.json'))
const documents = [
  'README.md',
  'ARCHITECTURE.md',
  'docs/envelope.md',
  ...readdirSync(join(root, 'docs/decisions')).map(name => `docs/decisions/${name}`),
]

/** The code of README's blocks in a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code ?? '')
}

function block(language: string, mark: string): string {
  const [code, ...others] = blocks(language).filter(candidate => candidate.includes(mark))
  if (code === undefined || others.length > 0)
    throw new Error(`README has not exactly one ${language} block with ${mark}`)
  return code
}

describe('what README has its reader call', () => {
  /** A checkout in which README's modules lie, and which is the package that they import. */
  const place = mkdtempSync(join(tmpdir(), 'rowhouse-readme-'))
  let url: string
  let env: Record<string, string>
  let server: ServerProcess | undefined

  beforeAll(async () => {
    const port = await freePort()
    url = `http://localhost:${port}`
    env = { PATH: '/usr/local/bin:/usr/bin:/bin', DATA_DIR: join(place, 'data'), PORT: String(port) }
    for (const name of ['client', 'server', 'node_modules']) symlinkSync(join(root, name), join(place, name))
    const { name, imports, exports } = packageJson
    const manifest = { name, type: 'module', imports, exports: fromSource(exports) }
    await writeFile(join(place, 'package.json'), JSON.stringify(manifest))
    server = await startServerProgram(nodeArguments(packageJson.scripts.start), { cwd: place, env })
  })
  afterAll(async () => {
    await server?.stop()
    rmSync(place, { recursive: true, force: true })
  })

  const here = (code: string) => code.replaceAll('http://localhost:3000', url)

  /** Runs a program beside README's modules and returns what it prints. */
  async function run(code: string): Promise<string> {
    const path = join(place, `program-${Math.random()}.ts`)
    await writeFile(path, code)
    const { stdout } = await promisify(execFile)(process.execPath, [path], { cwd: place, env })
    return stdout
  }

  test('the first calls by curl sign up, create a task and list it', async () => {
    const script = `set -euo pipefail\n${here(block('sh', 'tasks.create'))}`
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { env })
    const [created, listed] = stdout.split(/(?=\{"result")/).map(answer => JSON.parse(answer).result.data)
    expect(created.json).toMatchObject({ title: 'Mend the roof', status: 'pending' })
    expect(listed).toMatchObject({ json: { items: [created.json], nextCursor: null } })
  })

  test('the first calls by the typed client print the task, and the reason of a refusal', async () => {
    const printed = await run(here(block('ts', 'signUp({')))
    expect(printed).toMatch(/title: 'Mend the roof',\s+status: 'pending',\s+createdAt: 20\d\d-/)
    expect(printed).toMatch(/^CONFLICT illegal_transition task "[\w-]{36}" is stopped/m)
  })

  test('tokens, the route handler and the scripts do what they are shown to do', async () => {
    await writeFile(join(place, 'tokens.ts'), block('ts', 'apiTokens.create'))
    await writeFile(join(place, 'route.ts'), block('ts', 'rowhouse/next'))
    await writeFile(join(place, 'script.ts'), block('ts', 'listFailed'))
    await writeFile(join(place, 'count.ts'), block('ts', 'withScope'))
    const printed = await run(`
      import { signUp } from 'rowhouse/client'
      import { makeProgram } from './tokens.ts'
      import { GET } from './route.ts'
      import { listFailed } from './script.ts'
      import { countTasks } from './count.ts'
      const { token } = await signUp({ url: '${url}', name: 'A', email: 'a@example.com', password: 'long enough' })
      const { oldToken, newToken } = await makeProgram('${url}', token)
      const request = new Request('http://app.example.com/api', { headers: { authorization: 'Bearer ' + token } })
      const items = await (await GET(request)).json()
      const failed = await listFailed(newToken)
      console.log(JSON.stringify({ items, failed, counts: await countTasks(oldToken) }))
      process.exit()
    `)
    expect(JSON.parse(printed)).toMatchObject({
      items: [{ title: 'Sweep the yard' }],
      failed: { items: [] },
      counts: [{ status: 'pending', count: 1 }],
    })
  })

  test('every module of README compiles', async () => {
    const directory = join(place, 'modules')
    mkdirSync(directory)
    const modules = ['ts', 'tsx'].flatMap(language =>
      blocks(language).map((code, index) => ({ name: `${language}-${index}.${language}`, code })),
    )
    expect(modules.length).toBeGreaterThan(5)
    for (const { name, code } of modules) {
      await writeFile(join(directory, name), code.replace('./client/', '../client/'))
    }
    await writeFile(
      join(directory, 'next.d.ts'),
      `declare module 'next/headers' { export function headers(): Promise<Headers> }`,
    )
    await writeFile(
      join(directory, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        include: ['*', join(root, 'server/db/pg-internals.d.ts')],
      }),
    )
    const tsc = join(root, 'node_modules/.bin/tsc')
    const { stdout } = await promisify(execFile)(tsc, ['-p', directory]).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
  })
})

describe('what the documents name', () => {
  const texts = documents.map(document => ({ document, text: read(document) }))

  test('are commands and flags that there are', () => {
    const commands = createProgram(new AbortController().signal).commands
    for (const { document, text } of texts) {
      for (const [, script = ''] of text.matchAll(/\bnpm run ([\w:]+)/g)) {
        expect(packageJson.scripts, document).toHaveProperty([script])
      }
      for (const [used, name, flags = ''] of text.matchAll(/\bnpx kysely-migrate (\w+)((?: --[\w-]+)*)/g)) {
        const known = commands.find(command => command.name() === name)?.options.map(({ long }) => long)
        for (const flag of flags.split(' ').slice(1)) expect(known, `${document}: ${used}`).toContain(flag)
        expect(known, `${document}: ${used}`).toBeDefined()
      }
    }
  })

  test('are files that there are', () => {
    const LINK = /\]\((?!https?:)([^)#]+)/g
    const PATH = /`((?:server|client|scripts|migrations|docs|\.ci)\/[\w./-]*)`/g
    for (const { document, text } of texts) {
      for (const [, target = ''] of text.matchAll(LINK)) {
        expect(existsSync(join(root, document, '..', target)), `${document}: ${target}`).toBe(true)
      }
      for (const [, path = ''] of text.matchAll(PATH)) {
        expect(existsSync(join(root, path)), `${document}: ${path}`).toBe(true)
      }
    }
  })

  test('are variables that there are', () => {
    const known = read('.env.example') + read('server/testing/environment.ts')
    for (const { document, text } of texts) {
      for (const [, name = ''] of text.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`/g)) {
        expect(known, `${document}: ${name}`).toMatch(new RegExp(`\\b${name}\\b`))
      }
    }
  })
})

/** The package's exports, from where their sources are. */
function fromSource(exports: Record<string, string | { default: string }>): Record<string, string> {
  const sources: Record<string, string> = {}
  for (const [name, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue
    const stem = target.default.replace('./dist/', './').replace(/\.js$/, '')
    sources[name] = existsSync(join(root, `${stem}.tsx`)) ? `${stem}.tsx` : `${stem}.ts`
  }
  return sources
}

/** What `node` gets from a command such as npm start's. */
function nodeArguments(command: string): string[] {
  const [program, ...args] = command.split(' ')
  if (program !== 'node') throw new Error(`npm start is "${command}", which this does not know how to run`)
  return args
}
