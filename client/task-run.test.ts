import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isRowhouseError } from './index.ts'
import type { TaskSecrets } from './worker.ts'
import { create, ended, logOf, openWorkshop, sleep, type Workshop } from './worker-fixture.ts'

let workshop: Workshop

beforeAll(async () => {
  workshop = await openWorkshop()
})
afterAll(() => workshop.close())

describe.concurrent('a task', () => {
  test('is run by the handler under the lease, and completed with its return value', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting, 'Mend the roof')
    workshop.startWorker(setting.token, async ({ task, client }) => {
      const { credential } = await client.account.me.query()
      return { prompt: task.prompt, credential, at: new Date(0), nothing: undefined }
    })
    expect(await ended(setting, id)).toMatchObject({
      status: 'completed',
      progress: 100,
      result: { prompt: 'Mend the roof', credential: 'lease', at: '1970-01-01T00:00:00.000Z' },
    })
  })

  test('may return nothing', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    workshop.startWorker(setting.token, () => undefined)
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: null })
  })

  test('receives the secrets that it names, and its error does not contain them', async () => {
    const { client } = await workshop.newOwner()
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
    workshop.startWorker(token, async ({ secrets }) => {
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

  test('receives an error if its worker may not have secrets', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    workshop.startWorker(setting.token, ({ secrets }) =>
      secrets().catch(error => (isRowhouseError(error) ? error.reason : String(error))),
    )
    expect(await ended(setting, id)).toMatchObject({ status: 'completed', result: 'missing_scope' })
  })

  test('fails with the message of the handler’s error, without stack and secrets', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const other = `rhl_${'s'.repeat(49)}`
    const { errors } = workshop.startWorker(setting.token, async ({ log }) => {
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
    ['can not be represented in JSON', 10n, /BigInt/],
    ['is larger than the server accepts', 'x'.repeat(2 ** 21), /large/],
  ])('fails when its result %s', async (_, result, error) => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    workshop.startWorker(setting.token, () => result)
    expect(await ended(setting, id)).toMatchObject({ status: 'error', error: expect.stringMatching(error) })
  })

  test('is aborted before its maximum duration is over, while the failure can still be reported', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting, 'x', { maxDurationSeconds: 6 })
    workshop.startWorker(
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

describe.concurrent('a handler’s log', () => {
  test('arrives in order and in batches', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    let appends = 0
    const lines = Array.from({ length: 1_200 }, (_, i) => `line ${i}`)
    const { errors } = workshop.startWorker(
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

  test('is cleaned of characters that the server refuses', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    const long = `${'a'.repeat(64 * 1024 - 1)}🏠`
    workshop.startWorker(setting.token, async ({ log }) => {
      await log('info', 'NUL \0 and half a pair \ud83d')
      await log('command', '')
      await log('info', long)
    })
    await ended(setting, id)
    const log = await logOf(setting, id)
    expect(log.slice(0, 2)).toEqual(['NUL \ufffd and half a pair \ufffd', ''])
    expect(log.slice(2)).toEqual([long.slice(0, -2), '🏠'])
  })

  test('arrives once if answers are lost', async () => {
    const setting = await workshop.newOwner()
    const id = await create(setting)
    // Counted by procedure, so that no call loses its answer twice.
    const calls = new Map<string, number>()
    const { errors } = workshop.startWorker(
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
          const { pathname } = new URL(url)
          const count = calls.get(pathname) ?? 0
          calls.set(pathname, count + 1)
          const isClaim = pathname.endsWith('tasks.claim')
          if (!isClaim && count % 2 === 0) throw new TypeError('the connection broke')
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
