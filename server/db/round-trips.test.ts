import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { isPgbouncer } from '#server/postgres/connection-url.ts'
import { LoginPool } from '#server/postgres/login-pool.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { type RunningServer, startServer } from '#server/start.ts'
import { createActor, type House, openHouse } from '#server/testing/actors.ts'
import { type CountingProxy, startCountingProxy } from '#server/testing/counting-proxy.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { outcomeOf, procedures } from '#server/testing/isolation/call.ts'
import { createHousehold, type Household } from '#server/testing/isolation/dataset.ts'
import { definitionOf } from '#server/testing/isolation/matrix.ts'
import type { Case, ProcedurePath } from '#server/testing/isolation/procedure-cases/case.ts'
import { CASES } from '#server/testing/isolation/procedure-cases.ts'
import { TEST_PROVIDERS } from '#server/testing/providers/registry.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { type Database, scopedDatabase } from './database.ts'
import type { StatementScope } from './scope.ts'

// A whole server, over HTTP, with a proxy between it and its Postgres. Waiting for the database takes most of
// a call's time, so these tests fix the number of round trips of each procedure.

/** Procedures with more than one round trip. All others have exactly one. */
const SEVERAL: { readonly [Path in ProcedurePath]?: number | readonly number[] } = {
  // The caller, how recent their sign-in is, the connections to end elsewhere, and the removal.
  'account.remove': 4,
  // The caller, whose id is part of the additional data of their secrets, and the change.
  'keys.set': 2,
  'connectors.create': 2,
  // The caller, for their role, and the change.
  'aiProviders.create': 2,
  'aiProviders.update': 2,
  'aiProviders.setDefault': 2,
  'aiProviders.remove': 2,
  // The requested action, whose hash the decision names, and the decision.
  'approvals.decide': 2,
  // The caller, for the stream's name; then as below.
  'approvals.stream': 3,
  'connectors.update': 2,
  // The caller, the connector, and the result; the connector's server is called in between.
  'connectors.test': 3,
  // The caller, the connection, and its removal.
  'connections.disconnect': 3,
  // The caller, and the connection, whose provider is not configured here.
  'connections.notion.selectDatabase': 2,
  ...Object.fromEntries(Object.values(TEST_PROVIDERS).map(({ call }) => [call, 2])),
  // The caller, and the item, whose file has not arrived here.
  'media.completeUpload': 2,
  // The claim, and the task under its lease.
  'tasks.claim': 2,
  // The text so far and the end of the message, in one transaction: begin and the first, the second, commit.
  'tasks.messages.finish': 3,
  // If nothing was found, checks whether the task or the run exists. By case.
  'runs.list': [1, 1, 2, 1],
  'runs.toolCalls.list': [1, 2],
  // The second case repeats an answered call: the insert fails, and the existing row is read.
  'runs.toolCalls.start': [1, 3],
  // The caller, since a mail follows, and the invitation.
  'organizations.invitations.create': 2,
  // Admitting a reader, and the first read of the stream.
  'tasks.logs.stream': 2,
  'tasks.messages.stream': 2,
  // The tool, for its schema, and the caller's row.
  'tools.enable': 2,
  'tools.disable': 2,
}

let house: House
let proxy: CountingProxy
let server: RunningServer

beforeAll(async () => {
  house = await openHouse()
  const { ownerUrl, urls } = house.database
  proxy = await startCountingProxy(urls.api)
  server = await startServer(
    loadConfig({
      NODE_ENV: 'test',
      HOST: '127.0.0.1',
      PORT: '0',
      APP_URL: 'http://localhost:3000',
      DATABASE_URL: ownerUrl,
      API_DATABASE_URL: proxy.through(urls.api),
      PUBLIC_DATABASE_URL: proxy.through(urls.public),
      AUTH_DATABASE_URL: proxy.through(urls.auth),
      // Not counted: it sweeps independently of calls.
      SYSTEM_DATABASE_URL: urls.system,
      MIGRATE_ON_START: 'false',
      AUTH_SECRET: TEST_AUTH_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    }),
    createLogger({ level: 'silent' }),
  )
})

afterAll(async () => {
  await server.stop()
  await proxy.close()
  await house.close()
})

beforeEach(() => {
  proxy.take()
})

/** Makes the call of a case, and returns its round trips until it starts to answer. */
async function tripsOf(path: string, { input, owner }: Case, household: Household): Promise<string[]> {
  const { type, permission } = definitionOf(path)
  const { authorization } = permission === 'lease' ? household.lease : household
  const given = input(household)
  const json = JSON.stringify({ json: given })
  const search = type !== 'mutation' && given !== undefined ? `?input=${encodeURIComponent(json)}` : ''
  proxy.take()
  const response = await fetch(
    `${server.url}/trpc/${path}${search}`,
    type === 'mutation'
      ? { method: 'POST', headers: { authorization, 'content-type': 'application/json' }, body: json }
      : { headers: { authorization } },
  )
  if (type === 'subscription') {
    expect(response.status).toBe(200)
    const trips: string[] = []
    await expect.poll(() => trips.push(...proxy.take())).toBe(SEVERAL[path as ProcedurePath])
    await response.body?.cancel()
    return trips
  } else {
    expect(outcomeOf({ status: response.status, body: await response.text() })).toBe(owner ?? 'OK')
  }
  return proxy.take()
}

describe('a call has the expected number of round trips', () => {
  const cases = procedures.flatMap(({ path }) =>
    CASES[path as ProcedurePath].map((one: Case, index) => ({ path, index, one })),
  )

  test.for(cases)('$path, case $index', async ({ path, index, one }) => {
    const several = SEVERAL[path as ProcedurePath] ?? 1
    const expected = typeof several === 'number' ? several : several[index]
    // The first call prepares its statement, the second finds it prepared.
    for (const name of ['Ada', 'Bob']) {
      const household = await createHousehold(house, name)
      const trips = await tripsOf(path, one, household)
      expect(trips.length, trips.join(' ')).toBe(expected)
      // One Sync per trip: a statement and its sign-in are one transaction.
      for (const messages of trips) expect(messages).toMatch(/^[PBDEC]+S$/)
    }
  })

  test('a caller without a credential causes none', async () => {
    const presented: Record<string, string>[] = [
      {},
      { authorization: 'Bearer rht_garbage' },
      { cookie: 'better-auth.session_token=garbage' },
    ]
    for (const headers of presented) {
      const response = await fetch(`${server.url}/trpc/tasks.list`, { headers })
      expect(response.status).toBe(401)
    }
    expect(proxy.take()).toEqual([])
  })

  test('calls of one batch have one each', async () => {
    const { authorization } = await createActor(house)
    proxy.take()
    const response = await fetch(`${server.url}/trpc/account.me,tasks.list,usage.today?batch=1`, {
      headers: { authorization },
    })
    expect(response.status).toBe(200)
    expect(proxy.take()).toHaveLength(3)
  })
})

describe('several statements', () => {
  let pool: LoginPool
  let scope: StatementScope

  beforeAll(async () => {
    const { urls } = house.database
    pool = new LoginPool({
      connection: toPgConfig(proxy.through(urls.api)),
      isNamed: !isPgbouncer(urls.api),
      maxConnections: 1,
    })
    scope = scopeOf(await createActor(house))
  })

  afterAll(() => pool.end())

  const countTasks = (db: Database) => db.selectFrom('app.tasks').select('id').execute()

  test('begin and sign in together with the first of them', async () => {
    for (const state of ['unprepared', 'prepared']) {
      const db = scopedDatabase(pool, scope)
      await db.transaction().execute(async trx => {
        expect(proxy.take(), state).toEqual([])
        await countTasks(trx)
        const trips = proxy.take()
        expect(trips, state).toHaveLength(1)
        // Three statements are executed with one Sync.
        expect(trips[0]?.replace(/[^ES]/g, ''), state).toBe('EEES')
        await countTasks(trx)
        expect(proxy.take(), state).toHaveLength(1)
      })
      expect(proxy.take(), state).toHaveLength(1)
    }
  })

  test('outside of a transaction have one each', async () => {
    const db = scopedDatabase(pool, scope)
    await countTasks(db)
    await countTasks(db)
    expect(proxy.take().map(messages => messages.replace(/[^ES]/g, ''))).toEqual(['EES', 'EES'])
  })

  test('without queries have none', async () => {
    await scopedDatabase(pool, scope)
      .transaction()
      .execute(async () => {})
    expect(proxy.take()).toEqual([])
  })
})
