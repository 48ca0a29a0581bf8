import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { testConnection } from '#server/postgres/connection-test.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { createEmptyDatabase, createTestDatabase } from './database.ts'
import { asSuperuser } from './test-server.ts'

test('a copy is migrated, open only to its owner and the four logins, and gone after a drop', async () => {
  const database = await createTestDatabase()
  for (const url of [
    ...Object.values(database.urls),
    ...Object.values(database.directUrls),
    database.ownerUrl,
  ]) {
    expect(await testConnection(url)).toMatchObject({ ok: true })
  }
  expect(await query(database.ownerUrl, `select to_regclass('auth.users')::text as users`)).toEqual([
    { users: 'auth.users' },
  ])
  await expect(query(database.directUrls.api, 'create temporary table t ()')).rejects.toThrow(
    'permission denied',
  )
  await database.drop()
  await database.drop()
  expect(await testConnection(database.superuserUrl)).toMatchObject({ ok: false })
})

test('concurrent copies share nothing', async () => {
  const databases = await Promise.all(Array.from({ length: 6 }, createTestDatabase))
  expect(new Set(databases.map(({ name }) => name)).size).toBe(6)
  await query(databases[0]?.ownerUrl ?? '', 'create table public.mark ()')
  const found = await Promise.all(
    databases.map(({ ownerUrl }) =>
      query(ownerUrl, `select to_regclass('public.mark') is not null as found`),
    ),
  )
  expect(found.flat()).toEqual([{ found: true }, ...Array(5).fill({ found: false })])
  await Promise.all(databases.map(({ drop }) => drop()))
})

test('an empty database has none of our objects and belongs to the owner', async () => {
  await using database = await createEmptyDatabase()
  await query(database.ownerUrl, 'create schema app')
  expect(await query(database.ownerUrl, `select to_regnamespace('auth') is null as empty`)).toEqual([
    { empty: true },
  ])
})

test('the owner is not a superuser unless the suite asks for one', async () => {
  const { ownerUrl } = inject('testServer')
  const user = toPgConfig(ownerUrl).user
  const { rows } = await asSuperuser(inject('testServer'), client =>
    client.query('select rolsuper, rolbypassrls from pg_roles where rolname = $1', [user]),
  )
  const isRestricted = user === 'rowhouse_test_owner'
  expect(rows).toEqual([{ rolsuper: !isRestricted, rolbypassrls: !isRestricted }])
})

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(toPgConfig(url))
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
