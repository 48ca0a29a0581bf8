import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import {
  emptyDatabase,
  migrationsOf,
  rowsOf,
  tablesOf,
  writeMigration,
} from '#server/postgres/migrations/harness.ts'
import { createTestDatabase } from '#server/testing/database.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'

// Each test starts a dozen processes, which is slow on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

function run(script: string, args: string[], env: Record<string, string> = {}): Promise<Finished> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-data-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    cwd: dataDir,
    env: { PATH: '/usr/bin:/bin', AUTH_SECRET: TEST_AUTH_SECRET, DATA_DIR: dataDir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const finished: Finished = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    finished.stdout += String(chunk)
  })
  child.stderr.on('data', chunk => {
    finished.stderr += String(chunk)
  })
  return new Promise(resolve => child.on('close', code => resolve({ ...finished, code })))
}

const one = () => migrationsOf({ '0001_a': ['create table a (id int);', 'drop table a;'] })

test('db:push reapplies the newest migration and writes the generated files', async () => {
  const directory = await one()
  const args = [
    '--url',
    await emptyDatabase(),
    '--directory',
    directory,
    '--types',
    join(directory, 'types.ts'),
  ]
  expect(await run('db-push.ts', args)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('applied 0001_a'),
  })
  await writeMigration(directory, '0001_a', ['create table b (id int);', 'drop table b;'])
  expect((await run('db-push.ts', args)).stdout).toMatch(
    /undid 0001_a .*\napplied 0001_a .*\nwrote .*schema\.sql/,
  )
})

test('db:reset asks for confirmation, then drops everything and applies all migrations', async () => {
  const url = await emptyDatabase()
  const args = ['--url', url, '--directory', await one()]
  await rowsOf(url, 'create table mine (id int)')
  const asked = await run('db-reset.ts', args)
  expect(asked).toMatchObject({ code: 1, stderr: expect.stringContaining('--yes') })
  expect(await tablesOf(url)).toEqual(['mine'])
  expect(await run('db-reset.ts', [...args, '--yes'])).toMatchObject({ code: 0 })
  expect(await tablesOf(url)).toEqual(['a'])
})

test.each(['db-reset.ts', 'db-push.ts'])('%s is refused in production', async script => {
  const url = await emptyDatabase()
  const env = {
    NODE_ENV: 'production',
    DATABASE_URL: url,
    AUTH_SECRET: 'Zk3v0Qp9sX7yT1uW5rN8mB2cL6dF4gHj',
    ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
    APP_URL: 'https://rowhouse.example.com',
  }
  const args = script === 'db-reset.ts' ? ['--yes'] : []
  expect(await run(script, args, env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('is refused in production'),
  })
})

test('db:status prints versions, drift and connections', async () => {
  await using database = await createTestDatabase()
  const env = { DATABASE_URL: database.ownerUrl }
  const good = await run('db-status.ts', ['--json'], env)
  expect(JSON.parse(good.stdout)).toMatchObject({
    ok: true,
    server: { version: expect.any(String), latencyMs: expect.any(Number), connections: [] },
    migrations: { pending: [], problems: [] },
    drift: { ok: true },
  })
  await rowsOf(database.ownerUrl, 'alter table app.tasks disable row level security')
  const drifted = await run('db-status.ts', [], env)
  expect(drifted.code).toBe(1)
  expect(drifted.stderr).toContain('row-level security of app.tasks is missing')
})

test('without any URL a command starts the embedded Postgres and stops it at the end', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-data-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const up = await run('kysely-migrate.ts', ['up', '--latest'], { DATA_DIR: dataDir })
  expect(up).toMatchObject({ code: 0, stdout: expect.stringContaining('applied 0001_') })
  const status = await run('kysely-migrate.ts', ['status', '--json'], { DATA_DIR: dataDir })
  expect(JSON.parse(status.stdout)).toMatchObject({ ok: true, pending: [] })
  expect(await run('kysely-migrate.ts', ['verify'], { DATA_DIR: dataDir })).toMatchObject({
    code: 0,
    stderr: '',
  })
})
