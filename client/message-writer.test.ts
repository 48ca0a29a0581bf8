import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createClient, type RowhouseClient } from './index.ts'
import type { MessageWriter } from './message-writer.ts'
import { type ServerFixture, startServer } from './server-fixture.ts'
import { type WorkOptions, work } from './worker.ts'

let server: ServerFixture

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

type Fetch = NonNullable<WorkOptions['fetch']>

/**
 * Runs a task of a new user with a handler that writes one message, and returns the resulting task and
 * messages.
 */
async function written(
  write: (message: MessageWriter) => Promise<void>,
  wrapFetch: (send: Fetch) => Fetch = send => send,
) {
  const client = createClient({ url: server.url, token: await server.newToken() })
  const { token } = await client.apiTokens.create.mutate({ name: 'worker', scopes: ['tasks:work'] })
  const { id: taskId } = await client.tasks.create.mutate({ prompt: 'x' })
  const appends: string[] = []
  const errors: unknown[] = []
  const send = wrapFetch(fetch)
  const worker = work({
    url: server.url,
    token,
    stopOnSignals: false,
    onError: error => errors.push(error),
    handler: ({ message }) => write(message()),
    fetch: (url, init) => {
      if (url.includes('tasks.messages.append')) appends.push(String(init.body))
      return send(url, init)
    },
  })
  try {
    const task = await vi.waitFor(
      async () => {
        const found = await client.tasks.get.query({ id: taskId })
        if (found.status !== 'completed' && found.status !== 'error') throw new Error(found.status)
        return found
      },
      { timeout: 20_000, interval: 30 },
    )
    const { items } = await client.tasks.messages.list.query({ taskId })
    return { task, messages: items, deltas: await deltasOf(client, taskId), appends, errors }
  } finally {
    await worker.stop()
  }
}

/** The deltas that a reader of the message receives from its beginning. */
async function deltasOf(client: RowhouseClient, taskId: string): Promise<string[]> {
  const deltas: string[] = []
  await new Promise<void>((resolve, reject) => {
    client.tasks.messages.stream.subscribe(
      { taskId },
      {
        onData: ({ data }) => {
          if (data.kind === 'delta') deltas.push(data.delta)
        },
        onComplete: resolve,
        onError: reject,
      },
    )
  })
  return deltas
}

/**
 * A fetch that loses the answer to every other request of these procedures, and may change the request first.
 */
function losing(path: string, change: (body: string) => string = body => body) {
  let calls = 0
  return (send: Fetch): Fetch =>
    async (url, init) => {
      if (!url.includes(path) || calls++ % 2 === 1) return send(url, init)
      await send(url, { ...init, body: change(String(init.body)) })
      throw new TypeError('the connection broke')
    }
}

const HOUSE = '🏠'
const TEXT = `Rowhouses ${HOUSE} stand wall to wall: ${'naïve café — '.repeat(40)}${HOUSE.repeat(30)}`

describe.concurrent('a message', () => {
  test('grows as it is written, in combined pieces and without split surrogate pairs', async () => {
    const { messages, appends, deltas, errors } = await written(async message => {
      // One UTF-16 unit at a time, which no model does.
      for (let i = 0; i < TEXT.length; i++) {
        void message.write(TEXT[i] ?? '')
        if (i % 100 === 0) await new Promise(resolve => setTimeout(resolve, 30))
      }
      await message.finish()
    })
    expect(messages).toMatchObject([{ role: 'agent', status: 'complete', content: TEXT }])
    expect(deltas.join('')).toBe(TEXT)
    expect(deltas.every(delta => delta.isWellFormed())).toBe(true)
    expect(appends.length).toBeGreaterThan(1)
    expect(appends.length).toBeLessThan(15)
    expect(errors).toEqual([])
  })

  test.each(['tasks.messages.append', 'tasks.messages.finish', 'tasks.complete'])(
    'is written once if answers to %s are lost',
    async path => {
      const { task, messages, deltas, errors } = await written(async message => {
        for (const piece of TEXT.match(/.{1,60}/gu) ?? []) {
          void message.write(piece)
          await new Promise(resolve => setTimeout(resolve, 60))
        }
        await message.finish()
      }, losing(path))
      expect(task.status).toBe('completed')
      expect(messages).toMatchObject([{ status: 'complete', content: TEXT }])
      expect(deltas.join('')).toBe(TEXT)
      expect(errors).toEqual([])
    },
  )

  test('continues at the server’s length if only a part of the text arrived', async () => {
    const halve = (body: string) => {
      const sent = JSON.parse(body)
      for (const { json } of Object.values<{ json: { delta?: string } }>(sent)) {
        if (json.delta !== undefined) json.delta = json.delta.slice(0, 200)
      }
      return JSON.stringify(sent)
    }
    const { messages, deltas, errors } = await written(
      async message => {
        await message.write(TEXT)
        await message.finish()
      },
      losing('tasks.messages.append', halve),
    )
    expect(messages).toMatchObject([{ status: 'complete', content: TEXT }])
    expect(deltas[0]).toBe(TEXT.slice(0, 200))
    expect(errors).toEqual([])
  })

  test('may be long, and slows down a fast writer', async () => {
    const long = `${HOUSE}x`.repeat(50_000)
    const { messages, appends } = await written(async message => {
      for (let i = 0; i < long.length; i += 1_000) await message.write(long.slice(i, i + 1_000))
      await message.finish()
    })
    expect(messages).toMatchObject([{ status: 'complete', content: long }])
    expect(appends.length).toBeLessThan(30)
  })

  test('is cleaned of characters that the server refuses', async () => {
    const { messages } = await written(async message => {
      await message.write('NUL \0, half a pair \udfe0, and another at the end \ud83c')
      await message.finish()
      await expect(message.write('more')).rejects.toThrow('finished')
    })
    expect(messages).toMatchObject([
      { status: 'complete', content: 'NUL \ufffd, half a pair \ufffd, and another at the end \ufffd' },
    ])
  })

  test('is finished with its task, even if the handler forgets it', async () => {
    const { messages } = await written(async message => {
      void message.write('that is all')
    })
    expect(messages).toMatchObject([{ status: 'complete', content: 'that is all' }])
  })

  test('fails with its task and keeps what was written', async () => {
    const { task, messages } = await written(async message => {
      void message.write('I think that')
      throw new Error('the model is gone')
    })
    expect(task).toMatchObject({ status: 'error', error: 'the model is gone' })
    expect(messages).toMatchObject([{ status: 'failed', content: 'I think that' }])
  })

  test('without text is empty', async () => {
    const { messages, appends } = await written(message => message.finish())
    expect(messages).toMatchObject([{ status: 'complete', content: '' }])
    expect(appends).toEqual([])
  })
})
