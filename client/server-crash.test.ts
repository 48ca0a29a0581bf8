import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'
import {
  freePort,
  SERVER_PROGRAM,
  type ServerProcess,
  startServerProgram,
} from '#server/testing/server-process.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { createClient, type RowhouseClient, signUp } from './index.ts'
import { PASSWORD } from './server-fixture.ts'
import { work } from './worker.ts'

const CRASHES = 3
const WRITERS = 6
const WORK = 60
const LINES = 5

const dataDir = throwawayDirectory('crash')
let env: Record<string, string>
let server: ServerProcess

beforeAll(async () => {
  env = {
    PATH: '/usr/bin:/bin',
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: String(await freePort()),
    LOG_LEVEL: 'info',
    AUTH_SECRET: TEST_AUTH_SECRET,
    DATA_DIR: dataDir,
    MAX_TASKS_PER_DAY: '100000',
  }
  server = await startServerProgram(SERVER_PROGRAM, { env })
})
afterAll(async () => {
  await server?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

/**
 * Writes without pause, and records the writes that the server acknowledged. Does not retry a failed write.
 */
function writeOn(client: RowhouseClient, taskId: string) {
  const created: string[] = []
  const lines = new Map<number, string>()
  const failures = new Set<string>()
  let isOver = false
  async function run(writer: number): Promise<void> {
    for (let i = 0; !isOver; i++) {
      try {
        const message = `${writer} ${i}`
        const entries = [{ type: 'info' as const, message }]
        const { lastSeq } = await client.tasks.logs.append.mutate({ taskId, entries })
        lines.set(lastSeq, message)
        if (i % 5 === 0) created.push((await client.tasks.create.mutate({ prompt: message })).id)
      } catch (error) {
        failures.add(error instanceof Error && 'reason' in error ? String(error.reason) : String(error))
        await sleep(20)
      }
    }
  }
  const running = Array.from({ length: WRITERS }, (_, writer) => run(writer))
  return {
    created,
    lines,
    async stop() {
      isOver = true
      await Promise.all(running)
      return { created, lines, failures }
    },
  }
}

async function wholeLog(client: RowhouseClient, taskId: string): Promise<string[]> {
  const messages: string[] = []
  for (;;) {
    const page = await client.tasks.logs.list.query({ taskId, after: messages.length, limit: 1_000 })
    for (const { seq, message } of page.items) {
      expect(seq).toBe(messages.length + 1)
      messages.push(message)
    }
    if (messages.length === page.lastSeq) return messages
  }
}

async function signUpAt(url: string, name: string): Promise<RowhouseClient> {
  const email = `${name.toLowerCase()}@example.com`
  const { token } = await signUp({ url, email, password: PASSWORD, name })
  return createClient({ url, token })
}

test('a server killed under load loses no acknowledged write, and its workers continue', async () => {
  const { url } = server
  const [writer, boss] = [await signUpAt(url, 'Writer'), await signUpAt(url, 'Boss')]
  const { token } = await boss.apiTokens.create.mutate({ name: 'worker', scopes: ['tasks:work'] })
  const ids = await Promise.all(
    Array.from({ length: WORK }, async (_, i) => (await boss.tasks.create.mutate({ prompt: `${i}` })).id),
  )
  // The worker of this lease never calls again.
  const lost = await createClient({ url, token }).tasks.claim.mutate({ worker: 'lost', leaseSeconds: 10 })
  expect(ids).toContain(lost?.task.id)

  const shared = await writer.tasks.create.mutate({ prompt: 'written to by all' })
  const load = writeOn(writer, shared.id)
  const errors: unknown[] = []
  const worker = work({
    url,
    token,
    concurrency: 3,
    // A claim whose answer the crash lost keeps its task unavailable until the lease expires.
    leaseSeconds: 10,
    stopOnSignals: false,
    onError: (error, task) => task && errors.push(error),
    handler: async ({ log }) => {
      const run = randomUUID()
      for (let line = 0; line < LINES; line++) {
        await log('info', `${run} ${line}`)
        await sleep(60)
      }
      return { run }
    },
  })

  for (let crash = 0; crash < CRASHES; crash++) {
    // At a random moment, once enough work is in progress.
    await vi.waitFor(
      () => {
        expect(load.lines.size).toBeGreaterThan(100 * (crash + 1))
        expect(load.created.length).toBeGreaterThan(10 * (crash + 1))
      },
      { timeout: 30_000, interval: 20 },
    )
    await sleep(Math.random() * 1_000)
    await server.stop('SIGKILL')
    server = await startServerProgram(SERVER_PROGRAM, { env })
  }
  const { created, lines, failures } = await load.stop()
  await vi.waitFor(
    async () => {
      const { items } = await boss.tasks.list.query({ status: 'completed', limit: 100 })
      if (items.length < WORK) throw new Error(`${items.length} of ${WORK} are done`)
    },
    { timeout: 60_000, interval: 200 },
  )
  await worker.stop()

  // If a restart takes longer than a lease, another worker starts the task again; otherwise each task is done
  // in one run.
  for (const error of errors) expect(error).toMatchObject({ reason: 'lease_lost' })
  for (const id of ids) {
    const { result } = await boss.tasks.get.query({ id })
    const { run } = result as { run: string }
    const log = await wholeLog(boss, id)
    expect(log.slice(-LINES)).toEqual(Array.from({ length: LINES }, (_, line) => `${run} ${line}`))
    if (errors.length === 0) expect(log).toHaveLength(LINES)
  }
  expect(failures).toContain('unreachable')
  const log = await wholeLog(writer, shared.id)
  expect(new Set(log).size).toBe(log.length)
  for (const [seq, message] of lines) expect(log[seq - 1]).toBe(message)
  for (let first = 0; first < created.length; first += 20) {
    const some = created.slice(first, first + 20)
    const found = await Promise.all(some.map(id => writer.tasks.get.query({ id })))
    expect(found.map(task => task.id)).toEqual(some)
  }
  expect(lines.size).toBeGreaterThan(100 * CRASHES)
  expect(created.length).toBeGreaterThan(10 * CRASHES)
}, 120_000)
