import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { parseConnectionUrl, withCredentials, withDatabase } from '#server/postgres/connection-url.ts'
import {
  emptyDatabase,
  migrationsOf,
  rowsOf,
  tablesOf,
  writeMigration,
} from '#server/postgres/migrations/harness.ts'
import { TEST_AUTH_SECRET } from '#server/testing/environment.ts'

// Each test starts a dozen processes, which is slow on a busy machine.
vi.setConfig({ testTimeout: 90_000 })

const script = join(import.meta.dirname, 'kysely-migrate.ts')

interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

function start(args: string[], directory: string) {
  const child = spawn(process.execPath, [script, ...args, '--directory', directory], {
    cwd: directory,
    env: {
      PATH: '/usr/bin:/bin',
      AUTH_SECRET: TEST_AUTH_SECRET,
      DATA_DIR: join(directory, 'data'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const finished: Finished = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', chunk => (finished.stdout += String(chunk)))
  child.stderr.on('data', chunk => (finished.stderr += String(chunk)))
  const end = new Promise<Finished>(resolve => child.on('close', code => resolve({ ...finished, code })))
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, end, said: () => finished.stdout + finished.stderr }
}

const run = (args: string[], directory: string) => start(args, directory).end
const json = (finished: Finished): Record<string, unknown> => JSON.parse(finished.stdout)
const until = async (isSo: () => boolean | Promise<boolean>) => {
  while (!(await isSo())) await new Promise(resolve => setTimeout(resolve, 50))
}

const two = () =>
  migrationsOf({
    '0001_a': ['create table a (id int);', 'drop table a;'],
    '0002_b': ['create table b (id int);', 'drop table b;'],
  })

/** Creates a login that owns nothing. */
async function stranger(url: string): Promise<string> {
  const name = `stranger_${randomBytes(4).toString('hex')}`
  await rowsOf(url, `create role ${name} login password 'right'`)
  // Registered after the database's own cleanup, and so runs before it.
  onTestFinished(async () => {
    await rowsOf(url, `drop role if exists ${name}`)
  })
  return withCredentials(url, name, 'right')
}

test('the command migrates up, down, to a named migration and back, and prints what it did', async () => {
  const directory = await two()
  const url = await emptyDatabase()
  const at = ['--url', url]
  expect(await run(['up', ...at], directory)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^applied 0001_a in \d+ ms\napplied 1 migration\n$/),
  })
  expect((await run(['list', ...at], directory)).stdout).toMatch(
    /0001_a {2}applied {2}.*batch 1(.|\n)*0002_b {2}pending(.|\n)*found 2 migrations/,
  )
  expect((await run(['up', '--latest', ...at], directory)).stdout).toContain('applied 0002_b')
  expect((await run(['up', '--latest', ...at], directory)).stdout).toBe('nothing to do\n')
  expect((await run(['status', ...at], directory)).stdout).toContain('at        0002_b, up to date')
  expect((await run(['down', ...at], directory)).stdout).toContain('undid 0002_b')
  expect((await run(['to', '0002_b', ...at], directory)).stdout).toContain('applied 0002_b')
  expect((await run(['rollback', ...at], directory)).stdout).toContain('undid 0002_b')
  expect((await run(['down', '--reset', '--silent', ...at], directory)).stdout).toBe('')
  expect(await tablesOf(url)).toEqual([])
})

test('with --json stdout has one JSON object, for a result and for an error', async () => {
  const directory = await two()
  const at = ['--json', '--url', await emptyDatabase()]
  expect(json(await run(['up', '--dry-run', '--latest', ...at], directory))).toMatchObject({
    ok: true,
    dryRun: true,
    applied: ['0001_a', '0002_b'],
    steps: [{ name: '0001_a', sql: 'create table a (id int);' }, {}],
  })
  expect(json(await run(['up', '--latest', ...at], directory))).toEqual({
    ok: true,
    dryRun: false,
    applied: ['0001_a', '0002_b'],
    undone: [],
  })
  expect(json(await run(['status', ...at], directory))).toMatchObject({
    ok: true,
    current: '0002_b',
    pending: [],
  })
  await writeMigration(directory, '0003_c', ['select nosuch;', ''])
  const failed = await run(['up', ...at], directory)
  expect(failed.code).toBe(1)
  expect(json(failed)).toMatchObject({
    ok: false,
    error: {
      code: 'statement_failed',
      file: '0003_c.sql',
      line: 4,
      message: expect.stringContaining('nosuch'),
    },
  })
  await writeMigration(directory, '0001_a', ['select 1;', ''])
  const edited = await run(['status', ...at], directory)
  expect(edited.code).toBe(1)
  expect(json(edited)).toMatchObject({ ok: false, problems: [{ code: 'edited', name: '0001_a' }] })
})

test('a dry run prints SQL', async () => {
  const { stdout, code } = await run(['up', '--dry-run', '--url', await emptyDatabase()], await two())
  expect(code).toBe(0)
  expect(stdout).toBe(
    '-- up 0001_a\ncreate table a (id int);\n\n-- dry run: ran in a transaction that was rolled back; nothing was changed\n',
  )
})

test('create writes the next file and needs no database', async () => {
  const directory = await two()
  const { stdout, code } = await run(['create', 'Add labels'], directory)
  expect([code, stdout]).toEqual([0, 'created 0003_add_labels.sql\n'])
  expect(await readFile(join(directory, '0003_add_labels.sql'), 'utf8')).toContain('-- migrate:down')
  expect((await run(['create'], directory)).code).toBe(2)
})

test('to without a name fails and lists the names if there is no terminal', async () => {
  const { stderr, code } = await run(['to', '--url', await emptyDatabase()], await two())
  expect(code).toBe(1)
  expect(stderr).toBe('kysely-migrate: name the target migration, one of: 0001_a, 0002_b\n')
})

test('invalid usage exits with 2', async () => {
  const directory = await two()
  expect((await run(['sideways'], directory)).code).toBe(2)
  expect((await run(['up', '--lastest'], directory)).stderr).toContain('--latest')
  expect(json(await run(['up', '--lastest', '--json'], directory))).toMatchObject({
    ok: false,
    error: { code: 'usage' },
  })
})

test('an error about a URL given as a command does not print its password', async () => {
  const directory = await two()
  const url = 'postgres://ann:s3cret@db.example.com:5432/shop'
  const { code, stderr } = await run([url], directory)
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('db.example.com') })
  expect(stderr).not.toContain('s3cret')
  expect((await run([url, '--json'], directory)).stdout).not.toContain('s3cret')
})

test('an error about an unusable database says why, without the password', async () => {
  const directory = await two()
  const url = await emptyDatabase()
  const { host, port, user } = parseConnectionUrl(url)
  const cases = [
    ['postgres://someone:hunter2@127.0.0.1:1/app', 'unreachable', 'nothing is listening on 127.0.0.1:1'],
    [
      'postgres://someone:hunter2@no.such.host.invalid:5432/app',
      'unreachable',
      'the host "no.such.host.invalid" can not be resolved',
    ],
    [withCredentials(url, user, 'hunter2'), 'wrong_password', `the password for user "${user}" is wrong`],
    [`postgres://${host}:${port}/app`, 'bad_url', 'names no user'],
    ['mysql://someone:hunter2@localhost:5432/app', 'bad_url', 'has the protocol "mysql"'],
    [`${url}?pgbouncer=true`, 'pooler', 'set DIRECT_URL'],
    [withDatabase(url, 'no_such_database'), 'no_database', 'the server has no database "no_such_database"'],
  ]
  for (const [bad = '', code, message] of cases) {
    const finished = await run(['up', '--json', '--url', bad], directory)
    expect(finished.code).toBe(1)
    expect(json(finished)).toMatchObject({ error: { code, message: expect.stringContaining(message ?? '') } })
    expect(finished.stdout + finished.stderr).not.toContain('hunter2')
  }
})

test('an error names the right that the login lacks', async () => {
  const url = await emptyDatabase()
  const directory = await two()
  const weak = await stranger(url)
  const up = await run(['up', '--json', '--url', weak], directory)
  expect(up.code).toBe(1)
  expect(json(up)).toMatchObject({
    error: {
      code: 'no_permission',
      message: expect.stringMatching(/may not create tables in schema public/),
    },
  })
  const verified = await run(['verify', '--url', weak], directory)
  expect(verified.code).toBe(1)
  expect(verified.stderr).toContain('may not create databases')
})

test('a second command waits for the lock, prints the pid of its holder, and continues when the holder is killed', async () => {
  const directory = await migrationsOf({
    '0001_a': ['create table a (id int);', ''],
    '0002_b': ['create table b (id int);\nselect pg_sleep(seconds) from pace;', ''],
  })
  const url = await emptyDatabase()
  await rowsOf(url, 'create table pace as select 60 as seconds')
  const first = start(['up', '--latest', '--url', url], directory)
  await until(() => first.said().includes('applied 0001_a'))
  const second = start(['up', '--latest', '--url', url], directory)
  await until(() => second.said().includes('another migration is running, pid'))
  const [holder] = await rowsOf(
    url,
    "select pid from pg_locks join pg_database d on d.oid = database where datname = current_database() and locktype = 'advisory' and granted",
  )
  expect(second.said()).toContain(`another migration is running, pid ${holder?.pid}: waiting for it to end\n`)
  await rowsOf(url, 'update pace set seconds = 0')
  first.child.kill('SIGKILL')
  expect(await second.end).toMatchObject({ code: 0 })
  expect(await tablesOf(url)).toEqual(['a', 'b', 'pace'])
  expect(await rowsOf(url, 'select name, batch from rowhouse_migrations order by name')).toEqual([
    { name: '0001_a', batch: 1 },
    { name: '0002_b', batch: 2 },
  ])
})

test('an interrupted command rolls back its open file and exits with 130', async () => {
  const directory = await migrationsOf({ '0001_a': ['create table a (id int);\nselect pg_sleep(60);', ''] })
  const url = await emptyDatabase()
  const command = start(['up', '--url', url], directory)
  const watcher = new Client(url)
  await watcher.connect()
  await until(
    async () =>
      (
        await watcher.query(
          "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'",
        )
      ).rows.length > 0,
  )
  command.child.kill('SIGINT')
  const { code, stderr } = await command.end
  await watcher.end()
  expect(code).toBe(130)
  expect(stderr).toContain('the transaction of 0001_a was rolled back')
  await until(async () => (await tablesOf(url)).length === 0)
})

test('codegen writes files that codegen --verify and verify accept, and refuse once edited', async () => {
  const directory = await two()
  const types = join(directory, 'types.ts')
  const at = ['--url', await emptyDatabase(), '--types', types]
  expect((await run(['codegen', '--verify', ...at], directory)).stderr).toContain('schema.sql is not current')
  expect(await run(['codegen', ...at], directory)).toMatchObject({
    code: 0,
    stdout: 'wrote schema.sql, types.ts, rows.ts, values.ts, trigger-list.ts\n',
  })
  expect((await run(['codegen', '--verify', ...at], directory)).code).toBe(0)
  expect(await run(['verify', ...at], directory)).toMatchObject({ code: 0, stderr: '' })
  await writeMigration(directory, '0003_c', ['create table c (id int);', 'drop table c;'])
  const stale = await run(['verify', '--json', ...at], directory)
  expect(stale.code).toBe(1)
  expect(json(stale)).toMatchObject({ ok: false, error: { code: 'check_failed' } })
  expect(stale.stdout).toContain('schema.sql is not current')
})
