// Runs the code blocks of README.md and of the pages in docs/ unchanged, against a server started as README
// says.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, signUp } from '#client/index.ts'
import { freePort, type ServerProcess, startServerProgram } from '#server/testing/server-process.ts'
import { block, blocks, root } from './documents.ts'

const run = promisify(execFile)
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** A directory that holds the pages' modules, and is itself the package that they import. */
const place = mkdtempSync(join(tmpdir(), 'rowhouse-docs-'))
let url: string
let env: Record<string, string>
let server: ServerProcess | undefined
const children: ChildProcess[] = []

beforeAll(async () => {
  const port = await freePort()
  url = `http://localhost:${port}`
  env = { PATH: '/usr/local/bin:/usr/bin:/bin', DATA_DIR: join(place, 'data'), PORT: String(port) }
  for (const name of ['client', 'server', 'scripts', 'node_modules'])
    symlinkSync(join(root, name), join(place, name))
  const { name, imports, exports } = packageJson
  const manifest = { name, type: 'module', imports, exports: fromSource(exports) }
  writeFileSync(join(place, 'package.json'), JSON.stringify(manifest))
  server = await startServerProgram(nodeArguments('start'), { cwd: place, env })
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await server?.stop()
  rmSync(place, { recursive: true, force: true })
})

const here = (code: string) => code.replaceAll('http://localhost:3000', url)

/** Runs shell commands and returns their output. */
async function shell(commands: string): Promise<string> {
  return (await run('bash', ['-c', `set -euo pipefail\n${here(commands)}`], { env })).stdout
}

/** Starts Node in the directory of the pages' modules. */
function startNode(args: string[]) {
  const child = spawn(process.execPath, args, { cwd: place, env, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const closed = new Promise<number | null>(resolve => child.on('close', resolve))
  let printed = ''
  child.stdout.on('data', chunk => {
    printed += String(chunk)
  })
  return { child, closed, printed: () => printed }
}

function start(code: string) {
  const path = join(place, `program-${Math.random()}.ts`)
  writeFileSync(path, code)
  return startNode([path])
}

/** Runs a program until it exits and returns its output. */
async function printedBy(code: string): Promise<string> {
  const { closed, printed } = start(code)
  expect(await closed).toBe(0)
  return printed()
}

test('the first calls with curl sign up, create a task and list it', async () => {
  const printed = await shell(block('sh', 'tasks.create'))
  const [created, listed] = printed.split(/(?=\{"result")/).map(answer => JSON.parse(answer).result.data)
  expect(created.json).toMatchObject({ title: 'Mend the roof', status: 'pending' })
  expect(listed).toMatchObject({ json: { items: [created.json], nextCursor: null } })
})

test('the first calls with the typed client print the task, and the reason of a refusal', async () => {
  const printed = await printedBy(here(block('ts', 'signUp({')))
  expect(printed).toMatch(/title: 'Mend the roof',\s+status: 'pending',\s+createdAt: 20\d\d-/)
  expect(printed).toMatch(/^CONFLICT illegal_transition cannot \w+ task "[\w-]{36}": it is stopped/m)
})

test('tokens, the route handler, the scripts and the helpers work as the pages show', async () => {
  writeFileSync(join(place, 'tokens.ts'), block('ts', 'apiTokens.create'))
  writeFileSync(join(place, 'route.ts'), block('ts', 'rowhouse/next'))
  writeFileSync(join(place, 'script.ts'), block('ts', 'listFailed'))
  writeFileSync(join(place, 'count.ts'), block('ts', 'withScope'))
  writeFileSync(join(place, 'helpers.ts'), block('ts', 'describeDatabase'))
  const printed = await printedBy(`
    import { hash } from 'node:crypto'
    import { ambientDatabase } from '#server/db/database.ts'
    import { withScope } from '#server/db/scope.ts'
    import { signUp } from 'rowhouse/client'
    import { processServices } from 'rowhouse/server'
    import { makeProgram } from './tokens.ts'
    import { GET } from './route.ts'
    import { listFailed } from './script.ts'
    import { countTasks } from './count.ts'
    import { describeDatabase, explain, rename, tasksOnPage } from './helpers.ts'
    const { token } = await signUp({ url: '${url}', name: 'A', email: 'a@example.com', password: 'long enough' })
    const { oldToken, newToken } = await makeProgram('${url}', token)
    const request = new Request('http://app.example.com/api', { headers: { authorization: 'Bearer ' + token } })
    const items = await (await GET(request)).json()
    const failed = await listFailed(newToken)
    const counts = await countTasks(oldToken)
    const db = ambientDatabase(processServices().pools.api)
    const credential = 't:' + hash('sha256', newToken, 'hex')
    const scope = { credential, organizationId: null, permission: 'tasks:write', isReadOnly: false, timeoutMs: 10_000 }
    const page = await withScope(scope, async () => {
      await rename(db, items[0].id, 'Sweep the street')
      return tasksOnPage(db, 1)
    })
    const database = await describeDatabase('postgres://nobody:secret@127.0.0.1:9/none')
    console.log(JSON.stringify({ items, failed, counts, page, database, other: explain(new Error('x')) }))
    process.exit()
  `)
  expect(JSON.parse(printed)).toMatchObject({
    items: [{ title: 'Sweep the yard' }],
    failed: { items: [] },
    counts: [{ status: 'pending', count: 1 }],
    page: { items: [{ title: 'Sweep the street' }], total: 1 },
    database: expect.not.stringContaining('secret'),
    other: 'something else',
  })
})

test('the worker completes the tasks of its token’s owner', async () => {
  const email = 'worker@example.com'
  const { token: session } = await signUp({ url, name: 'W', email, password: 'long enough' })
  const client = createClient({ url, token: session })
  const { token } = await client.apiTokens.create.mutate({ name: 'worker', scopes: ['tasks:work'] })
  const { id } = await client.tasks.create.mutate({ prompt: 'count these four words' })
  const worker = start(here(block('ts', 'work({')).replace(/'rht_[^']*'/, `'${token}'`))
  try {
    await expect.poll(() => client.tasks.get.query({ id })).toMatchObject({ status: 'completed' })
    expect(await client.tasks.get.query({ id })).toMatchObject({ result: { words: 4 }, progress: 100 })
    const { items } = await client.tasks.logs.list.query({ taskId: id })
    expect(items).toMatchObject([{ message: 'working on count these four words' }])
  } finally {
    worker.child.kill('SIGTERM')
  }
  expect(await worker.closed).toBe(0)
})

test('curl and the client can follow the demo worker’s task', async () => {
  await run(process.execPath, nodeArguments('seed'), { cwd: place, env })
  const worker = startNode([...nodeArguments('demo:worker'), '--once', '--seconds', '3', '--url', url])
  const taskIdOf = () => /messages\.stream.*"taskId":"([\w-]{36})"/.exec(worker.printed())?.[1] ?? ''
  await expect.poll(taskIdOf, { interval: 50 }).not.toBe('')
  const follow = block('sh', 'tasks.messages.stream').replace('<the id that the worker printed>', taskIdOf())
  const watching = start(here(block('ts', 'logs.stream.subscribe')))
  expect(await shell(follow)).toContain('"kind":"finished"')
  await expect.poll(watching.printed).toContain('[success] 20 tests passed')
  watching.child.kill()
  expect(await worker.closed).toBe(0)
  const published = JSON.parse(await shell(block('sh', 'content.published')))
  expect(published.result.data.json.items).not.toEqual([])
})

test('every module compiles', async () => {
  const directory = join(place, 'modules')
  mkdirSync(directory)
  const modules = ['ts', 'tsx'].flatMap(language =>
    blocks(language).map((code, index) => ({ name: `${language}-${index}.${language}`, code })),
  )
  expect(modules.length).toBeGreaterThan(9)
  for (const { name, code } of modules) {
    writeFileSync(join(directory, name), code.replace('./client/', '../client/'))
  }
  writeFileSync(
    join(directory, 'next.d.ts'),
    `declare module 'next/headers' { export function headers(): Promise<Headers> }`,
  )
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      include: ['*', join(root, 'server/db/pg-internals.d.ts')],
    }),
  )
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { stdout } = await run(tsc, ['-p', directory]).catch((error: { stdout: string }) => error)
  expect(stdout).toBe('')
})

/** The package's exports, mapped to their sources. */
function fromSource(exports: Record<string, string | { default: string }>): Record<string, string> {
  const sources: Record<string, string> = {}
  for (const [name, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue
    const stem = target.default.replace('./dist/', './').replace(/\.js$/, '')
    sources[name] = existsSync(join(root, `${stem}.tsx`)) ? `${stem}.tsx` : `${stem}.ts`
  }
  return sources
}

/** The arguments that one of the package's scripts passes to `node`. */
function nodeArguments(script: string): string[] {
  const [program, ...args] = packageJson.scripts[script].split(' ')
  if (program !== 'node') throw new Error(`npm run ${script} does not start node`)
  return args
}
