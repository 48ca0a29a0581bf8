import fc from 'fast-check'
import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import type { StatementScope } from '#server/db/scope.ts'
import type { DB } from '#server/db/types.ts'
import { LoginPool } from '#server/postgres/login-pool.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createActor, type House, openHouse } from '../actors.ts'
import { sessionCredential } from './dataset.ts'

// Two users take turns on one connection, with failures between them. What each sees is held against a model
// of what they did; a row of the other's, or one lost to a transaction that was rolled back, would be a
// difference.

const TIMEOUT_MS = 20

interface User {
  readonly name: string
  readonly credential: string
  /** Ids and titles of the tasks that they should have. */
  readonly model: Map<string, string>
}

let house: House
let pool: LoginPool

beforeAll(async () => {
  house = await openHouse()
  pool = new LoginPool({
    connection: toPgConfig(house.database.directUrls.api),
    isNamed: true,
    maxConnections: 1,
  })
})

afterAll(async () => {
  await pool.end()
  await house.close()
})

async function createUser(name: string): Promise<User> {
  return { name, credential: sessionCredential(await createActor(house, { name })), model: new Map() }
}

function databaseOf(
  { credential }: Pick<User, 'credential'>,
  overrides: Partial<StatementScope> = {},
): Kysely<DB> {
  return scopedDatabase(pool, {
    credential,
    organizationId: null,
    permission: 'any',
    isReadOnly: false,
    timeoutMs: 5_000,
    ...overrides,
  })
}

async function create(db: Pick<Kysely<DB>, 'insertInto'>, title: string): Promise<string> {
  const { id } = await db
    .insertInto('app.tasks')
    .values({ title, prompt: title })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

async function tasksOf(user: User): Promise<Map<string, string>> {
  const rows = await databaseOf(user, { isReadOnly: true })
    .selectFrom('app.tasks')
    .select(['id', 'title'])
    .execute()
  return new Map(rows.map(({ id, title }) => [id, title]))
}

/** Expects a rejection, and hands it on. */
async function failureOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => Promise.reject(new Error('it did not fail')),
    error => error,
  )
}

type Action = (user: User, other: User, text: string) => Promise<void>

const ACTIONS: Record<string, Action> = {
  async creates(user, _other, text) {
    user.model.set(await create(databaseOf(user), text), text)
  },
  async 'renames the newest'(user, _other, text) {
    const id = [...user.model.keys()].at(-1)
    if (id === undefined) return
    await databaseOf(user).updateTable('app.tasks').set({ title: text }).where('id', '=', id).execute()
    user.model.set(id, text)
  },
  async 'renames all'(user, _other, text) {
    await databaseOf(user).updateTable('app.tasks').set({ title: text }).execute()
    for (const id of user.model.keys()) user.model.set(id, text)
  },
  async 'reaches for the other’s'(user, other, text) {
    const ids = [...other.model.keys()]
    if (ids.length === 0) return
    const db = databaseOf(user)
    const changed = await db
      .updateTable('app.tasks')
      .set({ title: text })
      .where('id', 'in', ids)
      .returning('id')
      .execute()
    const seen = await db.selectFrom('app.tasks').select('id').where('id', 'in', ids).execute()
    expect([...changed, ...seen]).toEqual([])
  },
  async 'breaks a constraint'(user) {
    // Without a row there is nothing that could break it.
    if (user.model.size === 0) return
    const work = databaseOf(user).updateTable('app.tasks').set({ progress: 101 }).execute()
    expect(await failureOf(work)).toMatchObject({ code: '23514' })
  },
  async 'divides by zero'(user) {
    expect(await failureOf(sql`select 1 / ${0}::int`.execute(databaseOf(user)))).toMatchObject({
      code: '22012',
    })
  },
  async 'writes nonsense'(user) {
    expect(await failureOf(sql`select nonsense`.execute(databaseOf(user)))).toMatchObject({ code: '42703' })
  },
  async 'asks what is refused'(user) {
    expect(await failureOf(sql`select token from auth.sessions`.execute(databaseOf(user)))).toMatchObject({
      code: '42501',
    })
  },
  async 'presents garbage'(user) {
    const forged = databaseOf({ credential: `s:${user.credential.slice(4)}00` })
    expect(await failureOf(create(forged, 'x'))).toMatchObject({ reason: 'unauthenticated' })
  },
  async 'takes too long'(user, _other, text) {
    const db = databaseOf(user, { timeoutMs: TIMEOUT_MS })
    const work = sql`with t as (insert into app.tasks (title, prompt) values (${text}, ${text})) select pg_sleep(5)`
    expect(await failureOf(work.execute(db))).toMatchObject({ code: '57014' })
  },
  async 'goes away'(user, _other, text) {
    const db = databaseOf(user, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const work = sql`with t as (insert into app.tasks (title, prompt) values (${text}, ${text})) select pg_sleep(5)`
    expect(await failureOf(work.execute(db))).toMatchObject({ name: 'StatementAbortedError' })
  },
  async 'creates two at once'(user, _other, text) {
    const ids = await databaseOf(user)
      .transaction()
      .execute(async db => [await create(db, text), await create(db, text)])
    for (const id of ids) user.model.set(id, text)
  },
  async 'rolls back'(user, _other, text) {
    const work = databaseOf(user)
      .transaction()
      .execute(async db => {
        await create(db, text)
        throw new Error('changed my mind')
      })
    expect(await failureOf(work)).toMatchObject({ message: 'changed my mind' })
  },
  async 'fails in a transaction and goes on'(user, _other, text) {
    const work = databaseOf(user)
      .transaction()
      .execute(async db => {
        await create(db, text)
        await failureOf(sql`select 1 / ${0}::int`.execute(db))
      })
    expect(await failureOf(work)).toBeInstanceOf(Error)
  },
  async 'takes too long in a transaction'(user, _other, text) {
    const work = databaseOf(user, { timeoutMs: TIMEOUT_MS })
      .transaction()
      .execute(async db => {
        await create(db, text)
        await sql`select pg_sleep(5)`.execute(db)
      })
    expect(await failureOf(work)).toMatchObject({ code: '57014' })
  },
  async 'goes back to a savepoint'(user, _other, text) {
    const transaction = await databaseOf(user).startTransaction().execute()
    const id = await create(transaction, text)
    const savepoint = await transaction.savepoint('here').execute()
    await create(savepoint, 'undone')
    await (await savepoint.rollbackToSavepoint('here').execute()).commit().execute()
    user.model.set(id, text)
  },
}

const step = fc.record({
  isFirst: fc.boolean(),
  action: fc.constantFrom(...Object.keys(ACTIONS)),
  text: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' }),
})

test('two users in any order, with failures between them, see their own rows and no other', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async steps => {
      const first = await createUser('First')
      const second = await createUser('Second')
      for (const { isFirst, action, text } of steps) {
        const [user, other] = isFirst ? [first, second] : [second, first]
        await ACTIONS[action]?.(user, other, text)
        expect(await tasksOf(other)).toEqual(other.model)
        expect(await tasksOf(user)).toEqual(user.model)
      }
    }),
    { numRuns: 40, seed: 2026 },
  )
  expect(pool.usage.total).toBeLessThanOrEqual(1)
})

test('the statements of two users that wait for one connection at once each get their own answer', async () => {
  const users = [await createUser('First'), await createUser('Second')]
  for (const user of users) await ACTIONS.creates?.(user, user, user.name)
  const answers = await Promise.all(
    Array.from({ length: 400 }, async (_, i) => {
      const user = users[i % 2] as User
      if (i % 7 === 0) await failureOf(sql`select 1 / ${0}::int`.execute(databaseOf(user)))
      return { seen: await tasksOf(user), expected: user.model }
    }),
  )
  for (const { seen, expected } of answers) expect(seen).toEqual(expected)
})

test('a caller who goes away before their turn leaves the connection to the next', async () => {
  const first = await createUser('First')
  const second = await createUser('Second')
  await ACTIONS.creates?.(second, first, 'mine')
  const controller = new AbortController()
  const sleeping = sql`select pg_sleep(0.05)`.execute(databaseOf(first))
  const waiting = failureOf(create(databaseOf(first, { signal: controller.signal }), 'x'))
  controller.abort()
  await sleeping
  expect(await waiting).toMatchObject({ name: 'StatementAbortedError' })
  expect(await tasksOf(second)).toEqual(second.model)
  expect(await tasksOf(first)).toEqual(new Map())
})
