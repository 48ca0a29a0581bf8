import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loginUrls } from '#server/postgres/logins.ts'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment } from '#server/testing/environment.ts'
import { ConfigError, loadConfig } from '../config.ts'
import { createLogger } from '../logger.ts'
import { createServices } from '../services.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-config-'))
let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await database.drop()
  rmSync(dataDir, { recursive: true, force: true })
})

const load = (size?: string) =>
  loadConfig({
    DATA_DIR: dataDir,
    DATABASE_POOL_SIZE: size,
    ...loginEnvironment(database.urls),
  })

test.each([
  [undefined, 10],
  ['', 10],
  ['2', 2],
  ['500', 500],
])('DATABASE_POOL_SIZE=%j means %j', (text, size) => {
  expect(load(text).poolSize).toBe(size)
})

test.each(['0', '1', '501', '-5', '2.5', 'ten'])('DATABASE_POOL_SIZE=%j is refused', text => {
  expect(() => load(text)).toThrow(ConfigError)
  expect(() => load(text)).toThrow('DATABASE_POOL_SIZE must be a whole number from 2 to 500')
})

test('a process opens no more connections than that for each login', async () => {
  const config = load('2')
  const urls = loginUrls({
    baseUrl: null,
    directUrl: null,
    authSecret: config.authSecret,
    overrides: config.loginUrls,
  })
  const services = createServices(config, urls, createLogger({ level: 'silent' }))
  try {
    const { api, auth } = services.pools
    const held = await Promise.all([api.checkOut(), api.checkOut()])
    const third = api.checkOut()
    const clients = await Promise.all([auth.connect(), auth.connect()])
    const last = auth.connect()
    expect(services.pools.usage()).toMatchObject({
      api: { total: 2, idle: 0, waiting: 1 },
      auth: { total: 2, idle: 0, waiting: 1 },
    })
    for (const client of [...held, ...clients]) client.release()
    for (const client of [await third, await last]) client.release()
    const rows = await Promise.all(
      Array.from({ length: 20 }, () => auth.query<{ one: number }>('select 1 as one')),
    )
    expect(rows.every(({ rows: [row] }) => row?.one === 1)).toBe(true)
    expect(services.pools.usage()).toMatchObject({ api: { total: 2 }, auth: { total: 2, waiting: 0 } })
  } finally {
    await services.close()
  }
})
