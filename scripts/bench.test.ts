import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBenchLogins } from './bench/bench-logins.ts'
import { type BenchCluster, startCluster } from './bench/databases.ts'
import { bodyText, KeepAliveClient } from './bench/keep-alive-client.ts'
import { buildRequests, CONTENT_OPERATIONS, checkAnswer, TASK_OPERATIONS } from './bench/operations.ts'
import { type BenchServer, startVariant } from './bench/servers.ts'

// The bench's other servers have their own logins and statements, which a migration can break unnoticed.

const target = {
  dataset: { users: 20, tasksPerUser: 20, contentPerUser: 40 },
  authSecret: randomBytes(32).toString('base64url'),
}
const OPERATIONS = {
  limit: [...TASK_OPERATIONS, ...CONTENT_OPERATIONS],
  usual: TASK_OPERATIONS,
}

let cluster: BenchCluster
const servers: Partial<Record<'limit' | 'usual', BenchServer>> = {}

beforeAll(async () => {
  cluster = await startCluster(target.authSecret)
  const logins = await createBenchLogins(await cluster.createDatabase('bench', target.dataset))
  for (const variant of ['limit', 'usual'] as const) {
    servers[variant] = await startVariant(variant, { databaseUrl: logins[variant], profileDir: undefined })
  }
}, 60_000)
afterAll(async () => {
  await Promise.all(Object.values(servers).map(server => server.stop()))
  await cluster.stop()
})

function send(port: number, request: Buffer): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const client = new KeepAliveClient({
    port,
    onAnswer: (_, read) => {
      const answer = read()
      resolve({ status: answer.status, body: bodyText(answer) })
    },
    onError: reject,
  })
  client.send(request)
  return promise.finally(() => client.close())
}

describe.each(['limit', 'usual'] as const)('the %s server', variant => {
  it.each(OPERATIONS[variant])('answers %s with the requested rows', async operation => {
    const [request = Buffer.of()] = buildRequests(operation, target)
    const { status, body } = await send(servers[variant]?.port ?? 0, request)
    expect([status, body]).toEqual([200, expect.any(String)])
    checkAnswer(operation, body)
  })
})
