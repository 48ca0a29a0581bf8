// A server with running workers, for the tests of this folder.
import pg from 'pg'
import { expect, vi } from 'vitest'
import { createClient, isRowhouseError, type RowhouseClient } from './index.ts'
import { startServer } from './server-fixture.ts'
import { type Handler, type Worker, type WorkOptions, work } from './worker.ts'

export interface Setting {
  /** Calls as the tasks' owner. */
  readonly client: RowhouseClient
  /** The owner's API token with tasks:work. */
  readonly token: string
}

export interface Workshop {
  readonly owner: pg.Pool
  /** Creates a user for one test, since a worker claims any pending task of its user. */
  newOwner(): Promise<Setting>
  /** Starts a worker that stops with these tests, and collects its errors. */
  startWorker(
    token: string,
    handler: Handler,
    options?: Partial<WorkOptions>,
  ): { worker: Worker; errors: unknown[] }
  close(): Promise<void>
}

export async function openWorkshop(environment: Record<string, string> = {}): Promise<Workshop> {
  const server = await startServer(environment)
  const owner = new pg.Pool({ connectionString: server.database.ownerUrl, max: 1 })
  owner.on('error', () => {}).on('connect', client => client.on('error', () => {}))
  const started: Worker[] = []
  return {
    owner,
    async newOwner() {
      const client = createClient({ url: server.url, token: await server.newToken() })
      const { token } = await client.apiTokens.create.mutate({ name: 'worker', scopes: ['tasks:work'] })
      return { client, token }
    },
    startWorker(token, handler, options) {
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
    },
    async close() {
      await Promise.allSettled(started.map(worker => worker.stop()))
      await owner.end()
      await server.close()
    },
  }
}

export function reasonsOf(errors: unknown[]) {
  return errors.map(error => (isRowhouseError(error) ? error.reason : String(error)))
}

export async function create({ client }: Setting, prompt = 'x', options = {}): Promise<string> {
  return (await client.tasks.create.mutate({ prompt, options })).id
}

export async function ended({ client }: Setting, id: string) {
  return vi.waitFor(
    async () => {
      const task = await client.tasks.get.query({ id })
      if (!['completed', 'error'].includes(task.status)) throw new Error(`it is ${task.status}`)
      return task
    },
    { timeout: 20_000, interval: 50 },
  )
}

export async function logOf({ client }: Setting, taskId: string): Promise<string[]> {
  const { items } = await client.tasks.logs.list.query({ taskId, limit: 1_000 })
  expect(items.map(({ seq }) => seq)).toEqual(items.map((_, i) => i + 1))
  return items.map(({ message }) => message)
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

/** A promise with its resolve function. */
export function gate() {
  let open = () => {}
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { open, opened }
}
