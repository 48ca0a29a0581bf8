import { connect, createServer, type Socket } from 'node:net'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { digestSessionToken } from '../auth/session-token.ts'
import { type Actor, createActor, type House, openHouse } from '../testing/actors.ts'
import { isPgbouncer, toPgConfig } from './connection-url.ts'
import { ambientDatabase, scopedDatabase, signIn } from './database.ts'
import {
  DatabaseUnavailableError,
  getConstraintName,
  getErrorDetail,
  isCheckViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isSerializationFailure,
  isUniqueViolation,
  StatementAbortedError,
} from './errors.ts'
import { LoginPool } from './login-pool.ts'
import { MissingScopeError, type StatementScope, withScope } from './scope.ts'

let house: House
let superuser: pg.Client
let ada: Actor
let bob: Actor
const pools: LoginPool[] = []

beforeAll(async () => {
  house = await openHouse()
  superuser = new pg.Client(toPgConfig(house.database.superuserUrl))
  await superuser.connect()
  ada = await createActor(house, { name: 'Ada' })
  bob = await createActor(house, { name: 'Bob' })
})
afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.end()))
})
afterAll(async () => {
  await superuser.end()
  await house.close()
})

/** A pool of one connection, so that what a statement leaves behind meets the next one. */
function onePool(overrides: Partial<ConstructorParameters<typeof LoginPool>[0]> = {}): LoginPool {
  const url = house.database.urls.api
  const pool = new LoginPool({
    connection: toPgConfig(url),
    isNamed: !isPgbouncer(url),
    maxConnections: 1,
    ...overrides,
  })
  pools.push(pool)
  return pool
}

function scopeOf(actor: Actor, overrides: Partial<StatementScope> = {}): StatementScope {
  const raw = actor.token.slice(0, actor.token.indexOf('.'))
  return {
    credential: `s:${digestSessionToken(raw)}`,
    organizationId: null,
    permission: 'any',
    isReadOnly: false,
    timeoutMs: 5_000,
    ...overrides,
  }
}

/** A network between a pool and its server that can begin to swallow everything. */
async function openNetwork({ host = '', port = 0 }: pg.ClientConfig) {
  const sockets: Socket[] = []
  const proxy = createServer(near => {
    const far = connect(port, host)
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => {})
    near.pipe(far).pipe(near)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  return {
    address: { host: '127.0.0.1', port: typeof address === 'object' && address ? address.port : 0 },
    swallow() {
      for (const socket of sockets) socket.unpipe().resume()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    },
  }
}

const backendPid = sql<{ pid: number }>`select pg_backend_pid() as pid`

describe('a scoped statement', () => {
  it('runs as whoever holds the credential, on one connection in turns', async () => {
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

  it('finds its scope through everything that is awaited inside withScope', async () => {
    const db = ambientDatabase(onePool())
    const whoami = async () => {
      await new Promise(resolve => setTimeout(resolve, 5))
      const { rows } = await sql<{ id: string }>`select app.current_user_id() as id`.execute(db)
      return rows[0]?.id
    }
    const found = await Promise.all([ada, bob].map(actor => withScope(scopeOf(actor), whoami)))
    expect(found).toEqual([ada.userId, bob.userId])
  })

  it('returns rows with the types that the generated types promise', async () => {
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

  it('fails, and leaves its connection usable, where a number would lose digits', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    await expect(sql`select 9007199254740993::bigint as n`.execute(db)).rejects.toThrow(RangeError)
    expect((await backendPid.execute(db)).rows).toHaveLength(1)
  })

  it('fails before anything is sent where a value cannot be sent', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const { rows: before } = await backendPid.execute(db)
    const circular: Record<string, unknown> = {}
    circular.self = circular
    await expect(sql`select ${circular}::jsonb`.execute(db)).rejects.toThrow(TypeError)
    expect((await backendPid.execute(db)).rows).toEqual(before)
  })

  it('cannot write where its scope is read-only', async () => {
    const db = scopedDatabase(onePool(), scopeOf(ada, { isReadOnly: true }))
    await expect(
      db.insertInto('app.settings').values({ key: 'theme', value: '"dark"' }).execute(),
    ).rejects.toMatchObject({ code: '25006' })
  })

  it('tells who asks, without a statement of its own', async () => {
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
  it('keeps what was done in it, or nothing', async () => {
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

  it('is rolled back as a whole after a failed statement, even where the failure was caught', async () => {
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

  it('goes on from a savepoint', async () => {
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

  it('costs nothing when it asks nothing', async () => {
    const pool = onePool()
    expect(
      await scopedDatabase(pool, scopeOf(ada))
        .transaction()
        .execute(async () => 7),
    ).toBe(7)
  })

  it('loses its caller as soon as the session ends, between two statements', async () => {
    const eve = await createActor(house)
    const db = scopedDatabase(onePool(), scopeOf(eve))
    await db.transaction().execute(async trx => {
      await trx.insertInto('app.settings').values({ key: 'f', value: '1' }).execute()
      await house.owner.query('delete from auth.sessions where user_id = $1', [eve.userId])
      expect(await trx.selectFrom('app.settings').select('key').execute()).toEqual([])
    })
  })
})

describe('a connection', () => {
  it('serves the next statement after one that was refused', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const { rows: before } = await backendPid.execute(db)
    await expect(sql`select 1 / 0`.execute(db)).rejects.toMatchObject({ code: '22012' })
    await expect(sql`select nonsense`.execute(db)).rejects.toMatchObject({ code: '42703' })
    expect((await backendPid.execute(db)).rows).toEqual(before)
  })

  it('is destroyed after a statement that ran out of time', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada, { timeoutMs: 100 }))
    const { rows: before } = await backendPid.execute(db)
    await expect(sql`select pg_sleep(5)`.execute(db)).rejects.toMatchObject({ code: '57014' })
    if (isPgbouncer(house.database.urls.api)) return
    expect((await backendPid.execute(db)).rows).not.toEqual(before)
  })

  it('is destroyed, and its statement cancelled on the server, when the caller goes away', async () => {
    const pool = onePool()
    const controller = new AbortController()
    const db = scopedDatabase(pool, scopeOf(ada, { signal: controller.signal }))
    const sleeping = sql`select pg_sleep(30) /* cancelled */`.execute(db)
    sleeping.catch(() => {})
    const running = async () => {
      const { rows } = await superuser.query(
        `select count(*)::int as n from pg_stat_activity
         where datname = current_database() and query like '%/* cancelled */%' and state = 'active' and pid <> pg_backend_pid()`,
      )
      return rows[0].n
    }
    await expect.poll(running).toBe(1)
    controller.abort()
    await expect(sleeping).rejects.toThrow(StatementAbortedError)
    await expect.poll(running).toBe(0)
    await expect(backendPid.execute(db)).rejects.toThrow(StatementAbortedError)
    expect((await backendPid.execute(scopedDatabase(pool, scopeOf(ada)))).rows).toHaveLength(1)
  })

  it('is given up on when the server accepts and never answers', async () => {
    const sockets = new Set<Socket>()
    const silent = createServer(socket => sockets.add(socket))
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const connection = { ...toPgConfig(house.database.urls.api), host: '127.0.0.1', port }
    const pool = onePool({ connection, connectTimeoutMs: 200 })
    await expect(backendPid.execute(scopedDatabase(pool, scopeOf(ada)))).rejects.toThrow(
      DatabaseUnavailableError,
    )
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('is replaced after the server ended it', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const [before] = (await backendPid.execute(db)).rows
    await superuser.query('select pg_terminate_backend($1)', [before?.pid])
    await expect
      .poll(async () => (await backendPid.execute(db).catch(() => ({ rows: [before] }))).rows[0]?.pid)
      .not.toBe(before?.pid)
  })

  it('fails its statement and nothing else when the server ends it in the middle', async () => {
    const db = scopedDatabase(onePool(), scopeOf(ada))
    const sleeping = sql`select pg_sleep(30) /* ended */`.execute(db)
    const refused = expect(sleeping).rejects.toThrow(DatabaseUnavailableError)
    const end = async () => {
      const { rowCount } = await superuser.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and query like '%/* ended */%' and state = 'active' and pid <> pg_backend_pid()`,
      )
      return rowCount
    }
    await expect.poll(end).toBe(1)
    await refused
    expect((await backendPid.execute(db)).rows).toHaveLength(1)
  })

  it('is given up on when the server stops answering in the middle', async () => {
    await using network = await openNetwork(toPgConfig(house.database.urls.api))
    const pool = onePool({ connection: { ...toPgConfig(house.database.urls.api), ...network.address } })
    const db = scopedDatabase(pool, scopeOf(ada, { timeoutMs: 100 }))
    await backendPid.execute(db)
    network.swallow()
    await expect(backendPid.execute(db)).rejects.toThrow(DatabaseUnavailableError)
  })

  it('keeps no more prepared statements than it may, and the ones in use stay', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    for (let i = 0; i < 250; i++) await sql`select ${sql.lit(i)}::int as n`.execute(db)
    const { rows } = await sql<{ n: number; signIn: number }>`
      select count(*)::int as n, count(*) filter (where statement like '%app.sign_in%')::int as sign_in
      from pg_prepared_statements where name like 'rh_%'
    `.execute(db)
    if (isPgbouncer(house.database.urls.api)) expect(rows[0]?.n).toBe(0)
    else {
      expect(rows[0]?.n).toBeLessThanOrEqual(200)
      expect(rows[0]?.signIn).toBeGreaterThanOrEqual(1)
    }
  })
})

describe('error predicates', () => {
  async function failure(statement: ReturnType<typeof sql>): Promise<unknown> {
    return statement.execute(scopedDatabase(onePool(), scopeOf(bob))).catch((error: unknown) => error)
  }

  it('tell the violations apart, with the constraint’s name and detail', async () => {
    await sql`insert into app.settings (key, value) values ('twice', '1')`.execute(
      scopedDatabase(onePool(), scopeOf(bob)),
    )
    const unique = await failure(sql`insert into app.settings (key, value) values ('twice', '1')`)
    expect([isUniqueViolation(unique), getConstraintName(unique)]).toEqual([true, 'settings_user_id_key_key'])
    // Behind row-level security Postgres leaves the detail out.
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
