import { sql } from 'kysely'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Actor } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { scopedDatabase } from './database.ts'
import {
  getConstraintName,
  getErrorDetail,
  isCheckViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isSerializationFailure,
  isUniqueViolation,
  toAppError,
} from './errors.ts'
import { openPooledHouse, type PooledHouse } from './fixture.ts'

let pooled: PooledHouse
let superuser: pg.Client
let bob: Actor
let onePool: PooledHouse['onePool']

beforeAll(async () => {
  pooled = await openPooledHouse()
  ;({ superuser, bob, onePool } = pooled)
})
afterEach(() => pooled.endPools())
afterAll(() => pooled.close())

describe('error predicates', () => {
  async function failure(statement: ReturnType<typeof sql>): Promise<unknown> {
    return statement.execute(scopedDatabase(onePool(), scopeOf(bob))).catch((error: unknown) => error)
  }

  it('distinguish the violations, with the constraint’s name and detail', async () => {
    await sql`insert into app.settings (key, value) values ('twice', '1')`.execute(
      scopedDatabase(onePool(), scopeOf(bob)),
    )
    const unique = await failure(sql`insert into app.settings (key, value) values ('twice', '1')`)
    expect([isUniqueViolation(unique), getConstraintName(unique)]).toEqual([true, 'settings_user_id_key_key'])
    // Under row-level security Postgres omits the detail.
    expect(getErrorDetail(unique)).toBeUndefined()
    const asOwner = await superuser
      .query(`insert into app.settings (user_id, key, value) values ($1, 'twice', '1')`, [bob.userId])
      .catch((error: unknown) => error)
    expect(getErrorDetail(asOwner)).toContain('twice')

    const missing = sql`'00000000-0000-4000-8000-000000000000'`
    const foreign = await failure(
      sql`insert into app.task_logs (task_id, seq, type, message) values (${missing}, 1, 'info', '')`,
    )
    expect([isForeignKeyViolation(foreign), isUniqueViolation(foreign)]).toEqual([true, false])

    const notNull = await failure(sql`insert into app.settings (key) values ('x')`)
    expect(isNotNullViolation(notNull)).toBe(true)

    const check = await failure(
      sql`insert into app.task_logs (task_id, seq, type, message) values (${missing}, 0, 'info', '')`,
    )
    expect([isCheckViolation(check), getConstraintName(check)]).toEqual([true, 'task_logs_seq_check'])
    expect(isSerializationFailure(check)).toBe(false)
    expect(isUniqueViolation(new Error('23505'))).toBe(false)
  })

  it('recognise a serialization failure', async () => {
    const [first, second] = [scopedDatabase(onePool(), scopeOf(bob)), scopedDatabase(onePool(), scopeOf(bob))]
    await first.insertInto('app.settings').values({ key: 'contended', value: '0' }).execute()
    const error = await first
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async trx => {
        await trx.selectFrom('app.settings').selectAll().execute()
        await second.updateTable('app.settings').set({ value: '1' }).where('key', '=', 'contended').execute()
        await trx.updateTable('app.settings').set({ value: '2' }).where('key', '=', 'contended').execute()
      })
      .catch((thrown: unknown) => thrown)
    expect(isSerializationFailure(error)).toBe(true)
  })
})

describe('a failing server', () => {
  it.each([
    ['53100', 'database_unavailable', true],
    ['53000', 'database_unavailable', true],
    ['58030', 'database_unavailable', true],
    ['58P01', 'database_unavailable', true],
    ['53300', 'database_unavailable', false],
    ['57P01', 'database_unavailable', false],
    ['57P03', 'database_unavailable', false],
    ['57P05', 'database_unavailable', false],
    ['08006', 'database_unavailable', false],
    ['25006', 'database_unavailable', false],
    ['53200', 'overloaded', false],
    ['53400', 'overloaded', false],
    ['55P03', 'overloaded', false],
  ])('that answers with %s is %s, with a time to retry', async (code, reason, isFault) => {
    const error = await superuser
      .query(`do $$ begin raise exception 'trouble' using errcode = '${code}'; end $$`)
      .catch((thrown: unknown) => thrown)
    const expected = toAppError(error)
    expect(expected).toMatchObject({ code: 'SERVICE_UNAVAILABLE', reason, isFault, cause: error })
    expect(expected?.details.retryAt?.getTime()).toBeGreaterThan(Date.now())
  })

  it('does not include one with corrupt data', async () => {
    const error = await superuser
      .query(`do $$ begin raise exception 'trouble' using errcode = 'XX001'; end $$`)
      .catch((thrown: unknown) => thrown)
    expect(toAppError(error)).toBeNull()
  })
})
