import { hash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer } from '#server/start.ts'
import { createTestDatabase, type TestDatabase } from '#server/testing/database.ts'
import { loginEnvironment, TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { startServerProcess } from '#server/testing/server-process.ts'
import { type Config, loadConfig } from './config.ts'
import { createLogger } from './logger.ts'

let database: TestDatabase
const log = createLogger({ level: 'silent' })

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

function configOf(overrides: Record<string, string> = {}): Config {
  return loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    AUTH_SECRET: TEST_AUTH_SECRET,
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    ...loginEnvironment(database.urls),
    ...overrides,
  })
}

describe('starting a server', () => {
  it('needs the four logins and no owner, and is ready', async () => {
    const server = await startServer(configOf(), log)
    try {
      const answer = await fetch(`${server.url}/readyz`)
      expect([answer.status, await answer.json()]).toEqual([200, { ok: true }])
    } finally {
      await server.stop()
      await server.stop()
    }
  })

  it.each(['API', 'PUBLIC', 'AUTH', 'SYSTEM'])(
    'refuses to serve as the owner where %s should',
    async login => {
      const config = configOf({ [`${login}_DATABASE_URL`]: database.ownerUrl })
      await expect(startServer(config, log)).rejects.toThrow(/would serve as .* where it must be rowhouse_/)
    },
  )

  it('refuses one login in place of another', async () => {
    const config = configOf({ SYSTEM_DATABASE_URL: database.urls.api })
    await expect(startServer(config, log)).rejects.toThrow('must be rowhouse_system')
  })

  it('says what to run when a login’s password is another', async () => {
    const url = new URL(database.urls.api)
    url.password = 'another'
    const starting = startServer(configOf({ API_DATABASE_URL: url.href }), log)
    await expect(starting).rejects.toThrow(/rowhouse_api can't log in: .*kysely-migrate up --latest/)
    await expect(starting).rejects.not.toThrow(/another/)
  })

  it('gives no advice about passwords where nothing answers', async () => {
    const url = new URL(database.urls.api)
    url.port = '1'
    const starting = startServer(configOf({ API_DATABASE_URL: url.href }), log)
    await expect(starting).rejects.toThrow(/^rowhouse_api can't log in: nothing is listening on [^;]*:1$/)
  })

  it('refuses keys that are not the ones in use, and says what to do', async () => {
    await (await startServer(configOf(), log)).stop()
    const another = `test:${'0123456789abcdef'.repeat(4)}`
    const starting = startServer(configOf({ ENCRYPTION_KEYS: another }), log)
    await expect(starting).rejects.toThrow(/another key under the id "test".*Put that one back/)
    await expect(starting).rejects.not.toThrow(/0123456789abcdef/)
    const lost = startServer(configOf({ ENCRYPTION_KEYS: another.replace('test', 'k2') }), log)
    await expect(lost).rejects.toThrow(/lacks the key "test".*npm run keys:rotate.*--forget test/)
    await (await startServer(configOf(), log)).stop()
  })

  it('takes a new key in front of the one in use', async () => {
    const keys = `k2:${'0123456789abcdef'.repeat(4)},${TEST_ENCRYPTION_KEYS}`
    await (await startServer(configOf({ ENCRYPTION_KEYS: keys }), log)).stop()
    await expect(startServer(configOf(), log)).rejects.toThrow('lacks the key "k2"')
  })

  it('lets one of two servers win that start first and at once with other keys', async () => {
    await using fresh = await createTestDatabase()
    const urls = loginEnvironment(fresh.urls)
    const keys = ['k1', 'k2', 'k3'].map(id => `${id}:${hash('sha256', id)}`)
    const starts = await Promise.allSettled(
      keys.map(ENCRYPTION_KEYS => startServer(configOf({ ...urls, ENCRYPTION_KEYS }), log)),
    )
    for (const start of starts) if (start.status === 'fulfilled') await start.value.stop()
    expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  it('ends a process with the wrong keys before it listens, with a log that holds none', async () => {
    await using fresh = await createTestDatabase()
    const { urls, ownerUrl: directUrl } = fresh
    await using first = await startServerProcess({ urls, directUrl })
    const another = '0123456789abcdef'.repeat(4)
    const environment = { ENCRYPTION_KEYS: `other:${another}` }
    const starting = startServerProcess({ urls, directUrl, environment })
    await expect(starting).rejects.toThrow(
      /the server ended with 1:.*could not start: ENCRYPTION_KEYS lacks the key \\?"test/s,
    )
    await expect(starting).rejects.not.toThrow(another)
    expect(first.child.exitCode).toBeNull()
  })
})
