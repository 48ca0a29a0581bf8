import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { publicDatabase, scopedDatabase } from './database.ts'
import { isSerializationFailure } from './errors.ts'
import type { StatementScope } from './scope.ts'
import { inTransaction } from './transactions.ts'

let house: House
let ada: Actor

beforeAll(async () => {
  house = await openHouse()
  ada = await createActor(house, { name: 'Ada' })
})
afterAll(() => house.close())

function database() {
  return scopedDatabase(house.services.pools.api, scopeOf(ada))
}

async function progressOf(id: string): Promise<number> {
  return (await ada.caller().tasks.get({ id })).progress
}

describe('a transaction', () => {
  const bounds = sql<{ idle: string; locks: string; whole: string | null }>`
    select current_setting('idle_in_transaction_session_timeout') as idle, current_setting('lock_timeout') as locks,
      current_setting('transaction_timeout', true) as whole`
  const boundsUnder = (overrides: Partial<StatementScope>) =>
    scopedDatabase(house.services.pools.api, scopeOf(ada, overrides))
      .transaction()
      .execute(async transaction => (await bounds.execute(transaction)).rows[0])

  it('has limits for idle time, lock waits and duration', async () => {
    const { whole, ...others } = (await boundsUnder({})) ?? expect.fail('no row')
    expect(others).toEqual({ idle: '5s', locks: '6s' })
    expect(['1min', null]).toContain(whole)
  })

  it('may be idle for minutes if it reads for a slow reader', async () => {
    const { whole, idle } =
      (await boundsUnder({ isReadOnly: true, isUnhurried: true })) ?? expect.fail('no row')
    expect(idle).toBe('5min')
    expect(['1h', null]).toContain(whole)
    expect((await boundsUnder({}))?.idle).toBe('5s')
  })
})

describe('work in a transaction', () => {
  it('is committed when it returns, and rolled back as a whole when it throws', async () => {
    const { id } = await ada.caller().tasks.create({ prompt: 'a prompt' })
    const raise = (by: number, ends: () => void) =>
      inTransaction(database(), async transaction => {
        await transaction
          .updateTable('app.tasks')
          .set(({ eb }) => ({ progress: eb('progress', '+', by) }))
          .where('id', '=', id)
          .execute()
        ends()
        return by
      })
    expect(await raise(1, () => {})).toBe(1)
    const failure = new Error('on second thoughts')
    await expect(
      raise(10, () => {
        throw failure
      }),
    ).rejects.toBe(failure)
    expect(await progressOf(id)).toBe(1)
  })

  it('runs again after a conflict, until it succeeds', async () => {
    const { id } = await ada.caller().tasks.create({ prompt: 'a prompt' })
    let attempts = 0
    let readers = 0
    const twoHaveRead = Promise.withResolvers<void>()
    const raise = () =>
      inTransaction(
        database(),
        async transaction => {
          attempts++
          const { progress } = await transaction
            .selectFrom('app.tasks')
            .select('progress')
            .where('id', '=', id)
            .executeTakeFirstOrThrow()
          // If two transactions read the same row before either writes, one must fail.
          if (++readers === 2) twoHaveRead.resolve()
          await twoHaveRead.promise
          await transaction
            .updateTable('app.tasks')
            .set({ progress: progress + 1 })
            .where('id', '=', id)
            .execute()
        },
        { isolationLevel: 'serializable', attempts: 50 },
      )
    await Promise.all(Array.from({ length: 6 }, raise))
    expect(await progressOf(id)).toBe(6)
    expect(attempts).toBeGreaterThan(6)
  })

  it('stops after the maximum number of attempts, and after any other error', async () => {
    const { id } = await ada.caller().tasks.create({ prompt: 'a prompt' })
    let attempts = 0
    const losing = inTransaction(
      database(),
      async transaction => {
        attempts++
        await transaction.selectFrom('app.tasks').select('progress').where('id', '=', id).execute()
        await house.owner.query('update app.tasks set progress = progress + 1 where id = $1', [id])
        await transaction.updateTable('app.tasks').set({ title: 'mine' }).where('id', '=', id).execute()
      },
      { isolationLevel: 'repeatable read', attempts: 3 },
    )
    expect(isSerializationFailure(await losing.catch(error => error))).toBe(true)
    expect(attempts).toBe(3)

    const failing = inTransaction(database(), async transaction => {
      attempts++
      await sql`select 1 / 0`.execute(transaction)
    })
    await expect(failing).rejects.toMatchObject({ code: '22012' })
    expect(attempts).toBe(4)
  })
})

describe('the public database', () => {
  const open = () => publicDatabase(house.services.pools.public, { timeoutMs: 10_000 })

  it('runs as the public login, and leaves no state on the connection', async () => {
    const { rows } = await sql<{ user: string; credential: string | null }>`
      select current_user as user, current_setting('app.credential', true) as credential
    `.execute(open())
    expect(rows).toEqual([{ user: 'rowhouse_public', credential: null }])
    expect(house.services.pools.usage().public.total).toBe(1)
    expect((await open().selectFrom('app.tools').select('slug').execute()).length).toBeGreaterThan(0)
  })

  it('is read-only, and keeps its deadline', async () => {
    await expect(sql`select app.new_id() from app.tasks`.execute(open())).rejects.toMatchObject({
      code: '42501',
    })
    await expect(open().updateTable('app.tools').set({ isEnabled: false }).execute()).rejects.toMatchObject({
      code: '25006',
    })
    await expect(sql`insert into app.content default values`.execute(open())).rejects.toMatchObject({
      code: '25006',
    })
    const hurried = publicDatabase(house.services.pools.public, { timeoutMs: 50 })
    await expect(sql`select pg_sleep(5)`.execute(hurried)).rejects.toMatchObject({ code: '57014' })
  })
})
