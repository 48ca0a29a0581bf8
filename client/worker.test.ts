import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createClient, isRowhouseError, type RowhouseClient } from './index.ts'
import { type ServerFixture, startServer } from './server-fixture.ts'
import { type Handler, type TaskSecrets, type Worker, type WorkOptions, work } from './worker.ts'

const WORKER_KEY = 'the-worker-key-of-these-tests-5e0b7a91'

let server: ServerFixture
let owner: pg.Pool

beforeAll(async () => {
  server = await startServer({ WORKER_KEY })
  owner = new pg.Pool({ connectionString: server.database.ownerUrl, max: 1 })
  owner.on('error', () => {}).on('connect', client => client.on('error', () => {}))
})
afterAll(async () => {
  await Promise.allSettled(started.map(worker => worker.stop()))
  await owner.end()
  await server.close()
})

interface Setting {
  /** Calls as the tasks' owner. */
  readonly client: RowhouseClient
  /** An API token of the owner's with tasks:work. */
  readonly token: string
}

/** A user of a test's own, since a worker takes whatever waits. */
async function newOwner(): Promise<Setting> {
  const client = createClient({ url: server.url, token: await server.newToken() })
  const { token } = await client.apiTokens.create.mutate({ name: 'worker', scopes: ['tasks:work'] })
  return { client, token }
}

const started: Worker[] = []

/** A worker that ends with these tests, and what went wrong for it. */
function startWorker(
  token: string,
  handler: Handler,
  options: Partial<WorkOptions> = {},
): { worker: Worker; errors: unknown[] } {
  const errors: unknown[] = []
  const worker = work({
    url: server.url,
    token,
    handler,
    leaseSeconds: 10,
    drainMs: 100,
    stopOnSignals: false,
    onError: error => errors.push(error),
    ...options,
  })
  started.push(worker)
  worker.done.catch(() => {})
  return { worker, errors }
}

function reasonsOf(errors: unknown[]) {
  return errors.map(error => (isRowhouseError(error) ? error.reason : String(error)))
}

async function create({ client }: Setting, prompt = 'x', options = {}): Promise<string> {
  return (await client.tasks.create.mutate({ prompt, options })).id
}

async function ended({ client }: Setting, id: string) {
  return vi.waitFor(
    async () => {
      const task = await client.tasks.get.query({ id })
      if (!['completed', 'error'].includes(task.status)) throw new Error(`it is ${task.status}`)
      return task
    },
    { timeout: 20_000, interval: 50 },
  )
}

async function logOf({ client }: Setting, taskId: string): Promise<string[]> {
  const { items } = await client.tasks.logs.list.query({ taskId, limit: 1_000 })
  expect(items.map(({ seq }) => seq)).toEqual(items.map((_, i) => i + 1))
  return items.map(({ message }) => message)
}

function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

/** Resolves when told to. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { open, opened }
}

test('a task of anybody is claimed with the operator’s key', async () => {
  const settings = [await newOwner(), await newOwner()]
  const ids = await Promise.all(settings.map(setting => create(setting)))
  const { worker } = startWorker(WORKER_KEY, ({ task }) => task.id)
  for (const [i, setting] of settings.entries()) {
    expect(await ended(setting, ids[i] ?? '')).toMatchObject({ status: 'completed', result: ids[i] })
  }
  // It takes what other tests mean for their own workers.
  await worker.stop()
})

describe.concurrent('a task', () => {
  test('is done by the handler, under the lease, and completed with what the handler returns', async () => {
    const setting = await newOwner()
    const id = await create(setting, 'Mend the roof')
    startWorker(setting.token, async ({ task, client }) => {
      const { credential } = await client.account.me.query()
      return { prompt: task.prompt, credential, at: new Date(0), nothing: undefined }
    })
    expect(await ended(setting, id)).toMatchObject({
      status: 'completed',
      progress: 100,
      result: { prompt: 'Mend the roof', credential: 'lease', at: '1970-01-01T00:00:00.000Z' },
    })
  })

  test('may come back with nothing', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    startWorker(setting.token, () => undefined)
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: null })
  })

  test('is given the secrets that it names, and keeps them out of how it failed', async () => {
    const { client } = await newOwner()
    const key = `sk-ant-${'k'.repeat(40)}`
    await client.keys.set.mutate({ provider: 'anthropic', value: key })
    const { id: connectorId } = await client.connectors.create.mutate({
      kind: 'remote',
      name: 'Wiki',
      url: 'https://mcp.example.com/',
      headers: { Authorization: 'Bearer wiki-secret' },
    })
    const task = { prompt: 'x', keyProviders: ['anthropic' as const], connectorIds: [connectorId] }
    const { id } = await client.tasks.create.mutate(task)
    const scopes = ['tasks:work' as const, 'keys:reveal' as const]
    const { token } = await client.apiTokens.create.mutate({ name: 'worker', scopes })
    const given: TaskSecrets[] = []
    startWorker(token, async ({ secrets }) => {
      given.push(await secrets())
      throw new Error(`no luck with ${key}, "wiki-secret" and the Wiki`)
    })
    expect(await ended({ client, token }, id)).toMatchObject({
      status: 'error',
      error: 'no luck with [secret], "[secret]" and the Wiki',
    })
    expect(given).toMatchObject([
      {
        keys: [{ provider: 'anthropic', value: key, unreadable: false }],
        connectors: [{ id: connectorId, headers: { Authorization: 'Bearer wiki-secret' } }],
      },
    ])
  })

  test('is told that its worker may not have secrets', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    startWorker(setting.token, ({ secrets }) =>
      secrets().catch(error => (isRowhouseError(error) ? error.reason : String(error))),
    )
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: 'missing_scope' })
  })

  test('fails with what the handler says, and with neither its stack nor a secret', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const other = `rhl_${'s'.repeat(49)}`
    const { errors } = startWorker(setting.token, async ({ log }) => {
      await log('error', 'the last words')
      throw new Error(`no luck with ${setting.token} and ${other}\n    at mend (file:///roof.ts:1:2)`)
    })
    expect(await ended(setting, id)).toMatchObject({
      status: 'error',
      error: 'no luck with [secret] and [secret]',
    })
    expect(await logOf(setting, id)).toEqual(['the last words'])
    expect(errors).toHaveLength(1)
  })

  test.each([
    ['can not be said in JSON', 10n, /BigInt/],
    ['is more than the server takes', 'x'.repeat(2 ** 21), /large/],
  ])('fails when its result %s', async (_, result, error) => {
    const setting = await newOwner()
    const id = await create(setting)
    startWorker(setting.token, () => result)
    expect(await ended(setting, id)).toMatchObject({ status: 'error', error: expect.stringMatching(error) })
  })

  test('is told that its maximum duration is over while that can still be said', async () => {
    const setting = await newOwner()
    const id = await create(setting, 'x', { maxDurationSeconds: 6 })
    startWorker(
      setting.token,
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cut off')))),
    )
    expect(await ended(setting, id)).toMatchObject({
      status: 'error',
      error: 'the task exceeded its maximum duration',
    })
  })
})

describe.concurrent('what a handler reports', () => {
  test('arrives in order and many lines at a time', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    let appends = 0
    const lines = Array.from({ length: 1_200 }, (_, i) => `line ${i}`)
    const { errors } = startWorker(
      setting.token,
      async ({ log, progress }) => {
        for (const line of lines) void log('info', line)
        for (let i = 0; i <= 50; i++) progress(i)
        await sleep(400)
        progress(50.4)
      },
      {
        fetch: (url, init) => {
          if (url.includes('tasks.logs.append')) appends++
          return fetch(url, init)
        },
      },
    )
    await ended(setting, id)
    const { items } = await setting.client.tasks.logs.list.query({ taskId: id, limit: 1_000 })
    const { items: rest } = await setting.client.tasks.logs.list.query({
      taskId: id,
      after: 1_000,
      limit: 1_000,
    })
    expect([...items, ...rest].map(({ message }) => message)).toEqual(lines)
    expect(appends).toBe(3)
    expect(errors).toEqual([])
  })

  test('is made into what the server takes', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const long = `${'a'.repeat(64 * 1024 - 1)}🏠`
    startWorker(setting.token, async ({ log }) => {
      await log('info', 'NUL \0 and half a pair \ud83d')
      await log('command', '')
      await log('info', long)
    })
    await ended(setting, id)
    const log = await logOf(setting, id)
    expect(log.slice(0, 2)).toEqual(['NUL \ufffd and half a pair \ufffd', ''])
    expect(log.slice(2)).toEqual([long.slice(0, -2), '🏠'])
  })

  test('arrives once where answers are lost', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    let calls = 0
    const { errors } = startWorker(
      setting.token,
      async ({ log, progress }) => {
        for (let i = 0; i < 12; i++) {
          await log('info', i % 3 === 0 ? 'again' : `line ${i}`)
          progress(i)
          await sleep(60)
        }
      },
      {
        fetch: async (url, init) => {
          const response = await fetch(url, init)
          const isClaim = url.includes('tasks.claim')
          if (!isClaim && calls++ % 2 === 0) throw new TypeError('the connection broke')
          return response
        },
      },
    )
    expect(await ended(setting, id)).toMatchObject({ status: 'completed' })
    expect(await logOf(setting, id)).toEqual(
      Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? 'again' : `line ${i}`)),
    )
    expect(errors).toEqual([])
  })
})

describe.concurrent('a worker', () => {
  test('works on as many tasks at once as it may, and on no more', async () => {
    const setting = await newOwner()
    const ids = await Promise.all(Array.from({ length: 9 }, () => create(setting)))
    let running = 0
    let most = 0
    const full = Promise.withResolvers<void>()
    startWorker(
      setting.token,
      async () => {
        most = Math.max(most, ++running)
        // The first wait for each other, and then for a fourth, who must not come.
        if (running === 3) sleep(200).then(full.resolve)
        await full.promise
        running--
      },
      { concurrency: 3 },
    )
    await Promise.all(ids.map(id => ended(setting, id)))
    expect(most).toBe(3)
  })

  test('asks ever less often while there is nothing to do, and at once again when there is', async () => {
    const setting = await newOwner()
    const claims: number[] = []
    const done = vi.fn()
    startWorker(setting.token, done, {
      fetch: (url, init) => {
        if (url.includes('tasks.claim')) claims.push(performance.now())
        return fetch(url, init)
      },
    })
    await vi.waitFor(() => expect(claims).toHaveLength(5), { timeout: 10_000 })
    const gaps = claims.slice(1).map((at, i) => at - (claims[i] ?? 0))
    for (const [i, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(125 * 2 ** i - 5)
    }
    const delays = vi.spyOn(globalThis, 'setTimeout')
    const ids = await Promise.all([create(setting), create(setting), create(setting)])
    await Promise.all(ids.map(id => ended(setting, id)))
    // Behind the first pause, whose length the last empty claim had decided, it starts again from the shortest one.
    const isShortest = (ms: unknown) =>
      typeof ms === 'number' && ms >= 125 && ms <= 250 && !Number.isInteger(ms)
    await vi.waitFor(
      () => expect(delays.mock.calls.map(([, ms]) => ms)).toContainEqual(expect.toSatisfy(isShortest)),
      {
        timeout: 10_000,
      },
    )
    delays.mockRestore()
  })

  test('outlives an overloaded server, and comes back when it was asked to', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const claims: number[] = []
    const { errors } = startWorker(setting.token, () => 'done', {
      fetch: async (url, init) => {
        if (!url.includes('tasks.claim')) return fetch(url, init)
        claims.push(performance.now())
        if (claims.length === 1) throw new TypeError('nobody is there')
        if (claims.length === 2) {
          return new Response('busy', { status: 503, headers: { 'retry-after': '2' } })
        }
        return fetch(url, init)
      },
    })
    expect(await ended(setting, id)).toMatchObject({ status: 'completed' })
    expect(reasonsOf(errors)).toEqual(['unreachable', 'unreachable'])
    expect((claims[2] ?? 0) - (claims[1] ?? 0)).toBeGreaterThanOrEqual(1_900)
  })

  test.each([
    ['that nobody made', () => 'rht_nonsense', 'unauthenticated'],
    [
      'that may not work',
      async ({ client }: Setting) =>
        (await client.apiTokens.create.mutate({ name: 'reader', scopes: ['tasks:write'] })).token,
      'missing_scope',
    ],
  ])('gives up with a token %s', async (_, tokenOf, reason) => {
    const { worker } = startWorker(await tokenOf(await newOwner()), () => {})
    await expect(worker.done).rejects.toMatchObject({ reason })
  })

  test('aborts the handler when its task is stopped, and says nothing about the task any more', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const begun = gate()
    let reason: unknown
    const { errors } = startWorker(setting.token, async ({ signal, log }) => {
      begun.open()
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
      reason = signal.reason
      await expect(log('info', 'too late')).resolves.toBeUndefined()
      throw new Error('cut off')
    })
    await begun.opened
    await setting.client.tasks.stop.mutate({ id })
    await vi.waitFor(() => expect(errors).toHaveLength(1), { timeout: 8_000 })
    expect(reason).toMatchObject({ reason: 'lease_lost' })
    expect(reasonsOf(errors)).toEqual(['lease_lost'])
    expect(await setting.client.tasks.get.query({ id })).toMatchObject({ status: 'stopped', error: null })
    expect(await logOf(setting, id)).toEqual([])
  })

  test('aborts the handler when no heartbeat gets through for as long as the lease lasts', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    let isCutOff = false
    const { errors } = startWorker(
      setting.token,
      async ({ signal }) => {
        isCutOff = true
        const begunAt = performance.now()
        await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
        return performance.now() - begunAt
      },
      {
        fetch: async (url, init) => {
          if (isCutOff) throw new TypeError('the network is down')
          return fetch(url, init)
        },
      },
    )
    await vi.waitFor(() => expect(reasonsOf(errors)).toContain('lease_lost'), { timeout: 15_000 })
    const { rows } = await owner.query(
      'select expires_at > now() as is_live from app.task_leases where task_id = $1',
      [id],
    )
    expect(rows).toEqual([{ is_live: expect.any(Boolean) }])
    expect(await setting.client.tasks.get.query({ id })).toMatchObject({ status: 'processing' })
  })

  test('keeps its lease for as long as the handler takes', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const begun = gate()
    const { errors } = startWorker(setting.token, () => {
      begun.open()
      return sleep(13_000)
    })
    await begun.opened
    startWorker(setting.token, () => 'stolen')
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: null })
    expect(errors).toEqual([])
  })
})

describe.concurrent('stopping', () => {
  test('lets running handlers finish and claims no more', async () => {
    const setting = await newOwner()
    const ids = [await create(setting), await create(setting)]
    const begun = gate()
    const { worker } = startWorker(
      setting.token,
      async ({ signal }) => {
        begun.open()
        await sleep(300)
        return signal.aborted
      },
      { drainMs: 5_000 },
    )
    await begun.opened
    await worker.stop()
    await worker.done
    const tasks = await Promise.all(ids.map(id => setting.client.tasks.get.query({ id })))
    expect(tasks).toMatchObject([{ status: 'completed', result: false }, { status: 'pending' }])
  })

  test('leaves a task that takes too long to another worker', async () => {
    const setting = await newOwner()
    const id = await create(setting)
    const begun = gate()
    const { worker, errors } = startWorker(setting.token, async ({ signal }) => {
      begun.open()
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    await begun.opened
    await worker.stop()
    expect(errors).toMatchObject([{ message: 'the worker stopped before the task was done' }])
    expect(await setting.client.tasks.get.query({ id })).toMatchObject({ status: 'processing', error: null })
    await owner.query(`update app.task_leases set expires_at = now() where task_id = $1`, [id])
    startWorker(setting.token, () => 'by the second')
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: 'by the second' })
  })

  test('does not wait for a handler that heeds nothing', async () => {
    const setting = await newOwner()
    await create(setting)
    const begun = gate()
    const { worker, errors } = startWorker(setting.token, () => {
      begun.open()
      return new Promise(() => {})
    })
    await begun.opened
    await worker.stop()
    expect(errors).toMatchObject([{ message: expect.stringContaining('did not come to an end') }])
  })

  test('works while there is nothing to do, by a signal too', async () => {
    const { token } = await newOwner()
    const stopping = new AbortController()
    const { worker } = startWorker(token, () => {}, { signal: stopping.signal })
    stopping.abort()
    await worker.done
    const late = startWorker(token, () => {}, { signal: AbortSignal.abort() })
    await late.worker.done
  })

  test('leaves no listener behind on the process', async () => {
    const { token } = await newOwner()
    const before = process.listenerCount('SIGTERM')
    const { worker } = startWorker(token, () => {}, { stopOnSignals: true })
    expect(process.listenerCount('SIGTERM')).toBe(before + 1)
    await worker.stop()
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })
})
