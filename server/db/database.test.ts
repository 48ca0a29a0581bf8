import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Actor, createActor, type House } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { ambientDatabase, scopedDatabase, signIn } from './database.ts'
import { backendPid, openPooledHouse, type PooledHouse } from './fixture.ts'
import { MissingScopeError, withScope } from './scope.ts'

let pooled: PooledHouse
let house: House
let ada: Actor
let bob: Actor
let onePool: PooledHouse['onePool']

beforeAll(async () => {
  pooled = await openPooledHouse()
  ;({ house, ada, bob, onePool } = pooled)
})
afterEach(() => pooled.endPools())
afterAll(() => pooled.close())

describe('a scoped statement', () => {
  it('runs as the holder of its credential, on one connection that callers use in turn', async () => {
    const pool = onePool()
    for (const actor of [ada, bob, ada]) {
      const { rows } = await sql<{ id: string }>`select app.current_user_id() as id`.execute(
        scopedDatabase(pool, scopeOf(actor)),
      )
      expect(rows).toEqual([{ id: actor.userId }])
    }
  })

  it('is refused without a scope, by an error that names withScope', async () => {
    const db = ambientDatabase(onePool())
    await expect(backendPid.execute(db)).rejects.toThrow(MissingScopeError)
    await expect(backendPid.execute(db)).rejects.toThrow(/withScope/)
  })

  it('finds its scope in everything awaited inside withScope', async () => {
    const db = ambientDatabase(onePool())
    const whoami = async () => {
      await new Promise(resolve => setTimeout(resolve, 5))
      const { rows } = await sql<{ id: string }>`select app.current_user_id() as id`.execute(db)
      return rows[0]?.id
    }
    const found = await Promise.all([ada, bob].map(actor => withScope(scopeOf(actor), whoami)))
    expect(found).toEqual([ada.userId, bob.userId])
  })

  it('returns rows with the generated types', async () => {
    const db = scopedDatabase(onePool(), scopeOf(ada))
    const { rows } = await sql`
      select 9007199254740991::bigint as big_number, date '2026-02-28' as a_day, null::text as nothing,
        timestamptz '2026-02-28 12:34:56.789012+00' as an_instant, timestamptz '0044-03-15 00:00:00+00 BC' as long_ago,
        '{"snake_key": {"inner_key": 1}}'::jsonb as some_json, array['a', null] as some_texts, true as is_true
    `.execute(db)
    expect(rows).toEqual([
      {
        bigNumber: 9007199254740991,
        aDay: '2026-02-28',
        nothing: null,
        anInstant: new Date('2026-02-28T12:34:56.789Z'),
        longAgo: expect.any(Date),
        someJson: { snake_key: { inner_key: 1 } },
        someTexts: ['a', null],
        isTrue: true,
      },
    ])
  })

  it('fails, and leaves its connection usable, if a number would lose digits', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    await expect(sql`select 9007199254740993::bigint as n`.execute(db)).rejects.toThrow(RangeError)
    expect((await backendPid.execute(db)).rows).toHaveLength(1)
  })

  it('fails before anything is sent if a value cannot be sent', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const { rows: before } = await backendPid.execute(db)
    const circular: Record<string, unknown> = {}
    circular.self = circular
    await expect(sql`select ${circular}::jsonb`.execute(db)).rejects.toThrow(TypeError)
    expect((await backendPid.execute(db)).rows).toEqual(before)
  })

  it('cannot write if its scope is read-only', async () => {
    const db = scopedDatabase(onePool(), scopeOf(ada, { isReadOnly: true }))
    await expect(
      db.insertInto('app.settings').values({ key: 'theme', value: '"dark"' }).execute(),
    ).rejects.toMatchObject({ code: '25006' })
  })

  it('signIn returns the caller without another statement', async () => {
    const identity = await signIn(onePool(), scopeOf(ada))
    expect(identity).toMatchObject({
      userId: ada.userId,
      credential: 'session',
      credentialId: ada.sessionId,
      organization: null,
      scopes: null,
    })
  })
})

describe('a transaction', () => {
  it('keeps all of its changes or none', async () => {
    const db = scopedDatabase(onePool(), scopeOf(ada))
    await expect(
      db.transaction().execute(async trx => {
        await trx.insertInto('app.settings').values({ key: 'a', value: '1' }).execute()
        throw new Error('changed my mind')
      }),
    ).rejects.toThrow('changed my mind')
    await db.transaction().execute(async trx => {
      await trx.insertInto('app.settings').values({ key: 'b', value: '2' }).execute()
      await trx.insertInto('app.settings').values({ key: 'c', value: '3' }).execute()
    })
    const rows = await db.selectFrom('app.settings').select('key').orderBy('key').execute()
    expect(rows.map(row => row.key)).toEqual(['b', 'c'])
  })

  it('is rolled back as a whole after a failed statement, even if the error was caught', async () => {
    const db = scopedDatabase(onePool(), scopeOf(bob))
    await expect(
      db.transaction().execute(async trx => {
        await trx.insertInto('app.settings').values({ key: 'd', value: '1' }).execute()
        await trx
          .insertInto('app.settings')
          .values({ key: 'd', value: '1' })
          .execute()
          .catch(() => {})
      }),
    ).rejects.toThrow(/rolled back/)
    expect(await db.selectFrom('app.settings').select('key').execute()).toEqual([])
  })

  it('continues from a savepoint', async () => {
    const db = scopedDatabase(onePool(), scopeOf(bob))
    const trx = await db.startTransaction().execute()
    await trx.insertInto('app.settings').values({ key: 'e', value: '1' }).execute()
    const saved = await trx.savepoint('before').execute()
    await expect(
      saved.insertInto('app.settings').values({ key: 'e', value: '1' }).execute(),
    ).rejects.toThrow()
    await saved.rollbackToSavepoint('before').execute()
    await trx.commit().execute()
    expect(await db.selectFrom('app.settings').select('key').execute()).toEqual([{ key: 'e' }])
    await db.deleteFrom('app.settings').execute()
  })

  it('without statements sends nothing', async () => {
    const pool = onePool()
    expect(
      await scopedDatabase(pool, scopeOf(ada))
        .transaction()
        .execute(async () => 7),
    ).toBe(7)
  })

  it('fails at the next statement once its session has ended', async () => {
    const eve = await createActor(house)
    const db = scopedDatabase(onePool(), scopeOf(eve))
    await db.transaction().execute(async trx => {
      await trx.insertInto('app.settings').values({ key: 'f', value: '1' }).execute()
      await house.owner.query('delete from auth.sessions where user_id = $1', [eve.userId])
      expect(await trx.selectFrom('app.settings').select('key').execute()).toEqual([])
    })
  })
})
