import { connect, createServer, type Socket } from 'node:net'
import { sql } from 'kysely'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { scopedDatabase } from '#server/db/database.ts'
import { DatabaseUnavailableError, StatementAbortedError } from '#server/db/errors.ts'
import { backendPid, openPooledHouse, type PooledHouse } from '#server/db/fixture.ts'
import type { Actor, House } from '#server/testing/actors.ts'
import { scopeOf } from '#server/testing/scope.ts'
import { isPgbouncer, withHost } from './connection-url.ts'
import { toPgConfig } from './postgres-client.ts'

let pooled: PooledHouse
let house: House
let superuser: pg.Client
let ada: Actor
let onePool: PooledHouse['onePool']

beforeAll(async () => {
  pooled = await openPooledHouse()
  ;({ house, superuser, ada, onePool } = pooled)
})
afterEach(() => pooled.endPools())
afterAll(() => pooled.close())

/** A network between a pool and its server that can start to drop all data. */
async function openNetwork({ host = '', port = 0 }: pg.ClientConfig) {
  const sockets: Socket[] = []
  const callers: Socket[] = []
  let holdsEnds = false
  const proxy = createServer(near => {
    const far = connect(port, host)
    callers.push(near)
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => {})
    near.pipe(far).pipe(near, { end: !holdsEnds })
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  return {
    through: (url: string) =>
      withHost(url, '127.0.0.1', typeof address === 'object' && address ? address.port : 0),
    /** The pool's ends of the connections, in order of creation. */
    callers,
    /** From now on, connections do not forward the server's close to the pool. */
    holdEnds() {
      holdsEnds = true
    },
    swallow() {
      for (const socket of sockets) socket.unpipe().resume()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    },
  }
}

describe('a connection', () => {
  it('serves the next statement after an error', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const { rows: before } = await backendPid.execute(db)
    await expect(sql`select 1 / 0`.execute(db)).rejects.toMatchObject({ code: '22012' })
    await expect(sql`select nonsense`.execute(db)).rejects.toMatchObject({ code: '42703' })
    expect((await backendPid.execute(db)).rows).toEqual(before)
  })

  it('is destroyed after a statement timed out', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const hasty = scopedDatabase(pool, scopeOf(ada, { timeoutMs: 100 }))
    const { rows: before } = await backendPid.execute(db)
    await expect(sql`select pg_sleep(5)`.execute(hasty)).rejects.toMatchObject({ code: '57014' })
    if (isPgbouncer(house.database.urls.api)) return
    expect((await backendPid.execute(db)).rows).not.toEqual(before)
  })

  it('is destroyed, and its statement cancelled on the server, when the caller aborts', async () => {
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

  it('that is cancelled stays open until the server has processed the request, and is then destroyed', async () => {
    await using network = await openNetwork(toPgConfig(house.database.urls.api))
    const connection = toPgConfig(network.through(house.database.urls.api))
    const controller = new AbortController()
    const db = scopedDatabase(onePool({ connection }), scopeOf(ada, { signal: controller.signal }))
    await backendPid.execute(db)
    network.holdEnds()
    const sleeping = sql`select pg_sleep(30) /* held */`.execute(db)
    sleeping.catch(() => {})
    await expect
      .poll(async () => {
        const { rowCount } = await superuser.query(
          `select from pg_stat_activity
           where datname = current_database() and query like '%/* held */%' and state = 'active' and pid <> pg_backend_pid()`,
        )
        return rowCount
      })
      .toBe(1)
    controller.abort()
    await expect(sleeping).rejects.toThrow(StatementAbortedError)
    // Enough time for a close to arrive.
    await superuser.query('select pg_sleep(0.2)')
    const [statement, request] = network.callers
    expect([statement?.readableEnded, request?.readableEnded]).toEqual([false, false])
    request?.end()
    await expect.poll(() => statement?.readableEnded).toBe(true)
  })

  it('times out when the server accepts and never answers', async () => {
    const sockets = new Set<Socket>()
    const silent = createServer(socket => sockets.add(socket))
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const connection = toPgConfig(withHost(house.database.urls.api, '127.0.0.1', port))
    const pool = onePool({ connection, connectTimeoutMs: 200 })
    await expect(backendPid.execute(scopedDatabase(pool, scopeOf(ada)))).rejects.toThrow(
      DatabaseUnavailableError,
    )
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('is replaced after the server closed it', async () => {
    const pool = onePool()
    const db = scopedDatabase(pool, scopeOf(ada))
    const [before] = (await backendPid.execute(db)).rows
    await superuser.query('select pg_terminate_backend($1)', [before?.pid])
    await expect
      .poll(async () => (await backendPid.execute(db).catch(() => ({ rows: [before] }))).rows[0]?.pid)
      .not.toBe(before?.pid)
  })

  it('fails only its statement when the server closes it in the middle', async () => {
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

  it('times out when the server stops answering in the middle', async () => {
    await using network = await openNetwork(toPgConfig(house.database.urls.api))
    const pool = onePool({ connection: toPgConfig(network.through(house.database.urls.api)) })
    await backendPid.execute(scopedDatabase(pool, scopeOf(ada)))
    network.swallow()
    const hasty = scopedDatabase(pool, scopeOf(ada, { timeoutMs: 100 }))
    await expect(backendPid.execute(hasty)).rejects.toThrow(DatabaseUnavailableError)
  })

  it('keeps a limited number of prepared statements, the most recently used ones', async () => {
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
