import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '#server/app/config.ts'
import { createLogger } from '#server/app/logger.ts'
import { type RunningServer, startServer } from '#server/start.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import { throwawayDirectory } from '#server/testing/throwaway-directory.ts'
import { query } from '#server/testing/two-servers.ts'
import { testConnection } from './connection-test.ts'
import { withCredentials, withDatabase } from './connection-url.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.ts'
import { loginUrls } from './logins.ts'

const SCRIPT = fileURLToPath(new URL('../../scripts/kysely-migrate.ts', import.meta.url))
const OTHER_SECRET = 'of-another-installation-4b7c1d9ab2e84635'
const OTHER_KEYS = `test:${'0123456789abcdef'.repeat(4)}`

// Logins belong to a whole cluster, so these tests have their own.
let dataDir: string
let postgres: EmbeddedPostgres
let ownerUrl: string
const log = createLogger({ level: 'silent' })

beforeAll(async () => {
  dataDir = throwawayDirectory('installations')
  postgres = await startEmbeddedPostgres({ dataDir, isDurable: false })
  ownerUrl = withCredentials(postgres.url, 'owner', 'owner')
  await query(
    postgres.url,
    `create role owner login createrole createdb password 'owner'`,
    'alter database rowhouse owner to owner',
    'create database second owner owner',
    'create database third owner owner',
  )
})
afterAll(async () => {
  await postgres?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const environment = (database: string, overrides: Record<string, string> = {}) => ({
  NODE_ENV: 'test',
  HOST: '127.0.0.1',
  PORT: '0',
  DATA_DIR: join(dataDir, 'files'),
  AUTH_SECRET: TEST_AUTH_SECRET,
  ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
  DATABASE_URL: withDatabase(ownerUrl, database),
  ...overrides,
})

const start = (database: string, overrides?: Record<string, string>): Promise<RunningServer> =>
  startServer(loadConfig(environment(database, overrides)), log)

function migrate(args: string[], env: Record<string, string>): Promise<{ code: number; output: string }> {
  return new Promise(resolve => {
    execFile(
      process.execPath,
      [SCRIPT, ...args],
      { env: { PATH: '/usr/bin:/bin', ...env } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
    )
  })
}

const isReady = async ({ url }: RunningServer) => (await fetch(`${url}/readyz`)).status

async function canStillLogIn(): Promise<boolean> {
  const urls = loginUrls({ baseUrl: postgres.url, authSecret: TEST_AUTH_SECRET })
  const outcomes = await Promise.all(Object.values(urls).map(url => testConnection(url)))
  return outcomes.every(({ ok }) => ok)
}

describe('beside a serving installation', () => {
  let first: RunningServer

  beforeAll(async () => {
    // A check that builds the migrations in a scratch database also creates the logins, without a password.
    expect(await migrate(['verify'], environment('rowhouse'))).toMatchObject({ code: 0 })
    first = await start('rowhouse')
  }, 120_000)
  afterAll(() => first?.stop())

  it('an installation with another AUTH_SECRET is refused before it changes anything', async () => {
    const { code, output } = await migrate(
      ['up', '--latest'],
      environment('second', { AUTH_SECRET: OTHER_SECRET }),
    )
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/nothing was changed/) })
    await expect(start('second', { AUTH_SECRET: OTHER_SECRET })).rejects.toThrow(
      /rowhouse_api has another password than the one derived from this AUTH_SECRET/,
    )
    expect(
      await query(withDatabase(ownerUrl, 'second'), `select to_regclass('app.tasks')::text as tasks`),
    ).toEqual([{ tasks: null }])
    expect(await canStillLogIn()).toBe(true)
    expect(await isReady(first)).toBe(200)
  })

  it('an installation with the same AUTH_SECRET serves from another database', async () => {
    const second = await start('second', { ENCRYPTION_KEYS: OTHER_KEYS })
    expect([await isReady(first), await isReady(second)]).toEqual([200, 200])
    await second.stop()
  })

  it('a process with other ENCRYPTION_KEYS and another AUTH_SECRET changes no password', async () => {
    const secrets = { ENCRYPTION_KEYS: OTHER_KEYS, AUTH_SECRET: OTHER_SECRET }
    await expect(start('rowhouse', secrets)).rejects.toThrow('another key under the id "test"')
    expect(await canStillLogIn()).toBe(true)
    expect(await isReady(first)).toBe(200)
  })

  it('a process with other ENCRYPTION_KEYS is refused before it migrates', async () => {
    const newest = `select name, state from public.rowhouse_migrations order by name desc limit 1`
    const [before] = await query(ownerUrl, newest)
    expect(await migrate(['down'], environment('rowhouse'))).toMatchObject({ code: 0 })
    await expect(start('rowhouse', { ENCRYPTION_KEYS: OTHER_KEYS })).rejects.toThrow('another key under')
    expect(await query(ownerUrl, newest)).not.toEqual([before])
    expect(await migrate(['up', '--latest'], environment('rowhouse'))).toMatchObject({ code: 0 })
  })

  it('logins --reset changes the secret on purpose', async () => {
    const env = environment('third', { AUTH_SECRET: OTHER_SECRET })
    expect(await migrate(['logins'], env)).toMatchObject({ code: 1 })
    expect(await canStillLogIn()).toBe(true)
    expect(await migrate(['logins', '--reset'], env)).toMatchObject({ code: 0 })
    expect(await canStillLogIn()).toBe(false)
    expect(await migrate(['logins', '--reset'], environment('rowhouse'))).toMatchObject({ code: 0 })
    await expect.poll(() => isReady(first)).toBe(200)
  })
})

describe('readiness', () => {
  const problem = async ({ url }: RunningServer) => {
    const answer = await fetch(`${url}/readyz`)
    return [answer.status, await answer.json()]
  }

  it('readiness requires a writable database, and says why it is not', async () => {
    const server = await start('rowhouse', { MIGRATE_ON_START: 'false' })
    try {
      expect(await problem(server)).toEqual([200, { ok: true }])
      const setReadOnly = (value: string) =>
        query(
          postgres.url,
          `alter role rowhouse_api in database rowhouse set default_transaction_read_only = ${value}`,
          `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rowhouse_api'`,
        )
      await setReadOnly('on')
      await expect
        .poll(() => problem(server))
        .toEqual([
          503,
          { ok: false, reason: 'the database accepts no writes: default_transaction_read_only is on' },
        ])
      await setReadOnly('off')
      await expect.poll(() => problem(server)).toEqual([200, { ok: true }])

      // A cleanly stopped cluster with this file starts as a standby without a primary.
      await postgres.stop()
      writeFileSync(join(dataDir, 'postgres', 'data', 'standby.signal'), '')
      postgres = await startEmbeddedPostgres({ dataDir, isDurable: false })
      await expect
        .poll(() => problem(server))
        .toEqual([503, { ok: false, reason: 'the database accepts no writes: it is a standby' }])
    } finally {
      await server.stop()
    }
  })
})
