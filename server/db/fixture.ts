// Pools of one connection for the tests of this folder, so that state left by one statement affects the next.
import { sql } from 'kysely'
import pg from 'pg'
import { isPgbouncer } from '#server/postgres/connection-url.ts'
import { LoginPool, type LoginPoolOptions } from '#server/postgres/login-pool.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { type Actor, createActor, type House, openHouse } from '#server/testing/actors.ts'

export interface PooledHouse {
  readonly house: House
  readonly superuser: pg.Client
  readonly ada: Actor
  readonly bob: Actor
  onePool(overrides?: Partial<LoginPoolOptions>): LoginPool
  endPools(): Promise<void>
  close(): Promise<void>
}

export async function openPooledHouse(): Promise<PooledHouse> {
  const house = await openHouse()
  const superuser = new pg.Client(toPgConfig(house.database.superuserUrl))
  await superuser.connect()
  const pools: LoginPool[] = []
  return {
    house,
    superuser,
    ada: await createActor(house, { name: 'Ada' }),
    bob: await createActor(house, { name: 'Bob' }),
    onePool(overrides) {
      const url = house.database.urls.api
      const pool = new LoginPool({
        connection: toPgConfig(url),
        isNamed: !isPgbouncer(url),
        maxConnections: 1,
        ...overrides,
      })
      pools.push(pool)
      return pool
    },
    async endPools() {
      await Promise.all(pools.splice(0).map(pool => pool.end()))
    },
    async close() {
      await superuser.end()
      await house.close()
    },
  }
}

export const backendPid = sql<{ pid: number }>`select pg_backend_pid() as pid`
