import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, signIn } from '#client/index.ts'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment, TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import { type ServerProcess, startServerProcess } from '#server/testing/server-process.ts'
import { ADA, PASSWORD } from './seed/demo.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-data-'))
let database: TestDatabase
let server: ServerProcess

beforeAll(async () => {
  database = await createTestDatabase()
  const { urls, ownerUrl } = database
  server = await startServerProcess({ urls, directUrl: ownerUrl, environment: { DATA_DIR: dataDir } })
})
afterAll(async () => {
  await server.stop()
  await database.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

/** Runs a script until it exits and passes each line of its output to `onOutput`. */
function run(script: string, args: string[], onOutput: (output: string) => void = () => {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    cwd: dataDir,
    env: {
      PATH: '/usr/bin:/bin',
      DATA_DIR: dataDir,
      AUTH_SECRET: TEST_AUTH_SECRET,
      DIRECT_URL: database.ownerUrl,
      ...loginEnvironment(database.urls),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const finished = { code: null as number | null, stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    finished.stdout += String(chunk)
    onOutput(finished.stdout)
  })
  child.stderr.on('data', chunk => {
    finished.stderr += String(chunk)
  })
  return new Promise<typeof finished>(resolve => child.on('close', code => resolve({ ...finished, code })))
}

/** Runs the commands that the worker printed. */
function follow(commands: string): Promise<string> {
  const child = spawn('sh', ['-c', commands], { stdio: ['ignore', 'pipe', 'ignore'] })
  let seen = ''
  child.stdout.on('data', chunk => {
    seen += String(chunk)
  })
  return new Promise(resolve => child.on('close', () => resolve(seen)))
}

test('without the demo user the error names the command that creates her', async () => {
  const { code, stderr } = await run('demo-worker.ts', ['--url', server.url])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^demo-worker: .*run npm run seed$/m)
})

test('without a server the error names the command that starts one', async () => {
  const { code, stderr } = await run('demo-worker.ts', ['--url', 'http://127.0.0.1:9'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/start the server with npm start/)
})

test('works on the seeded task, and the commands that it prints show the stream', async () => {
  expect((await run('seed.ts', [])).code).toBe(0)
  let following: Promise<string> | undefined
  const args = ['--once', '--seconds', '4', '--url', server.url]
  const { code, stdout, stderr } = await run('demo-worker.ts', args, output => {
    const [, commands] =
      /watch it from another terminal with\n([\s\S]*?messages\.stream.*)\n/.exec(output) ?? []
    if (commands) following ??= follow(commands)
  })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('working on "Watch me work"')

  const client = createClient({
    url: server.url,
    token: (await signIn({ url: server.url, email: ADA.email, password: PASSWORD })).token,
  })
  const { items } = await client.tasks.list.query({ status: 'completed' })
  const task = items.find(({ title }) => title === 'Watch me work')
  if (!task) throw new Error('the task is not completed')
  const log = await client.tasks.logs.list.query({ taskId: task.id })
  expect(log.items.at(-1)).toMatchObject({ type: 'success', message: '20 tests passed' })
  const { items: messages } = await client.tasks.messages.list.query({ taskId: task.id })
  expect(messages).toMatchObject([{ role: 'agent', status: 'complete' }])

  const seen = await following
  const deltas = [...(seen ?? '').matchAll(/"kind":"delta".*?"delta":("(?:[^"\\]|\\.)*")/g)]
  expect(deltas.map(([, delta]) => JSON.parse(delta ?? '""')).join('')).toBe(messages[0]?.content)
  expect(deltas.length).toBeGreaterThan(10)

  // No session is left, and the worker's token is revoked.
  const owner = new pg.Client(database.ownerUrl)
  await owner.connect()
  try {
    const { rows } = await owner.query('select revoked_at is not null as "isRevoked" from app.api_tokens')
    expect(rows).toEqual([{ isRevoked: true }])
  } finally {
    await owner.end()
  }
})
