import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { openPools } from './pools.ts'
import { toPgConfig } from './postgres-client.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
})

test('idle connections that the database ends are told of, but not while the pools are being closed', async () => {
  const told: string[] = []
  const first = Promise.withResolvers<void>()
  // Past any pooler, which ends no idle client and may serve both of these by one connection of the database.
  const pools = openPools(database.directUrls, {
    onIdleError: error => {
      told.push(error.message)
      first.resolve()
    },
  })
  const [idle, client] = await Promise.all([pools.auth.connect(), pools.auth.connect()])
  const backend = await idle.query<{ id: number }>('select pg_backend_pid() as id')
  idle.release()
  const superuser = new pg.Client(toPgConfig(database.superuserUrl))
  await superuser.connect()
  await superuser.query('select pg_terminate_backend($1)', [backend.rows[0]?.id])
  await superuser.end()
  await first.promise
  client.release()

  const closing = pools.close()
  // What pg's pool tells when the server stops before the goodbye has arrived there.
  pools.auth.emit('error', new Error('the server stops'), client)
  await closing

  expect(told).toEqual([expect.stringMatching(/terminating connection|Connection terminated/)])
})
