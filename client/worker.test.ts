import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  create,
  ended,
  gate,
  logOf,
  openWorkshop,
  reasonsOf,
  type Setting,
  sleep,
  type Workshop,
} from './worker-fixture.ts'

const WORKER_KEY = 'the-worker-key-of-these-tests-5e0b7a91'

let workshop: Workshop

beforeAll(async () => {
  workshop = await openWorkshop({ WORKER_KEY })
})
afterAll(() => workshop.close())

test('the operator’s key claims a task of any user', async () => {
  const settings = [await workshop.newOwner(), await workshop.newOwner()]
  const ids = await Promise.all(settings.map(setting => create(setting)))
  const { worker } = workshop.startWorker(WORKER_KEY, ({ task }) => task.id)
  for (const [i, setting] of settings.entries()) {
    expect(await ended(setting, ids[i] ?? '')).toMatchObject({ status: 'completed', result: ids[i] })
  }
  // It would claim the tasks of other tests.
  await worker.stop()
})

describe.concurrent('a worker', () => {
  test('works on exactly as many tasks at once as configured', async () => {
    const setting = await workshop.newOwner()
    const ids = await Promise.all(Array.from({ length: 9 }, () => create(setting)))
    let running = 0
    let most = 0
    const full = Promise.withResolvers<void>()
    workshop.startWorker(
      setting.token,
      async () => {
        most = Math.max(most, ++running)
        // The first three wait for each other, and then for a fourth, which must not start.
        if (running === 3) sleep(200).then(full.resolve)
        await full.promise
        running--
      },
      { concurrency: 3 },
    )
    await Promise.all(ids.map(id => ended(setting, id)))
    expect(most).toBe(3)
  })

  test('polls less and less often without tasks, and at once after a task', async () => {
    const setting = await workshop.newOwner()
    const claims: number[] = []
    const done = vi.fn()
    workshop.startWorker(setting.token, done, {
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
    // After the first pause, whose length the last empty claim decided, it starts again with the shortest
    // pause.
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

  test('survives an overloaded server, and retries at the requested time', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const claims: number[] = []
    const { errors } = workshop.startWorker(setting.token, () => 'done', {
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
    ['that does not exist', () => 'rht_nonsense', 'unauthenticated'],
    [
      'that may not work',
      async ({ client }: Setting) =>
        (await client.apiTokens.create.mutate({ name: 'reader', scopes: ['tasks:write'] })).token,
      'missing_scope',
    ],
  ])('stops with a token %s', async (_, tokenOf, reason) => {
    const { worker } = workshop.startWorker(await tokenOf(await workshop.newOwner()), () => {})
    await expect(worker.done).rejects.toMatchObject({ reason })
  })

  test('aborts the handler when its task is stopped, and reports nothing more about the task', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const begun = gate()
    let reason: unknown
    const { errors } = workshop.startWorker(setting.token, async ({ signal, log }) => {
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

  test('aborts the handler if no heartbeat succeeds for the length of the lease', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    let isCutOff = false
    const { errors } = workshop.startWorker(
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
    const { rows } = await workshop.owner.query(
      'select expires_at > now() as is_live from app.task_leases where task_id = $1',
      [id],
    )
    expect(rows).toEqual([{ is_live: expect.any(Boolean) }])
    expect(await setting.client.tasks.get.query({ id })).toMatchObject({ status: 'processing' })
  })

  test('keeps its lease for as long as the handler takes', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const begun = gate()
    const { errors } = workshop.startWorker(setting.token, () => {
      begun.open()
      return sleep(13_000)
    })
    await begun.opened
    workshop.startWorker(setting.token, () => 'stolen')
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: null })
    expect(errors).toEqual([])
  })
})
