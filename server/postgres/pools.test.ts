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

test('onIdleError receives idle connections that the database closes, but not while the pools are being closed', async () => {
  const told: string[] = []
  const first = Promise.withResolvers<void>()
  // Direct URLs: a pooler closes no idle client, and may serve both pools by one connection of the database.
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
  // The error that pg's pool emits if the server stops before the client's close has arrived.
  pools.auth.emit('error', new Error('the server stops'), client)
  await closing

  expect(told).toEqual([expect.stringMatching(/terminating connection|Connection terminated/)])
})
