// Follows the PgBouncer recipe of docs/operating.md as an operator would, word for word but for addresses and
// passwords. Needs PostgreSQL in RECIPE_POSTGRES_URL, as a superuser, and PgBouncer in /usr/sbin. The database and
// the logins must not exist yet.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { block } from '#scripts/documents.ts'
import {
  parseConnectionUrl,
  withCredentials,
  withDatabase,
  withHost,
} from '#server/postgres/connection-url.ts'
import { TEST_AUTH_SECRET, TEST_ENCRYPTION_KEYS } from '#server/testing/environment.ts'
import {
  freePort,
  SERVER_PROGRAM,
  type ServerProcess,
  startServerProgram,
} from '#server/testing/server-process.ts'
import { query } from '#server/testing/two-servers.ts'

const PASSWORD = 'of-the-recipe-4b7c1d9ab2e8'
// biome-ignore lint/style/noProcessEnv: .ci/run names its server here; no configuration of ours knows it.
const superuserUrl = process.env.RECIPE_POSTGRES_URL ?? ''
const adminUrl = withDatabase(superuserUrl, 'rowhouse')
const ownerUrl = withCredentials(adminUrl, 'rowhouse_owner', PASSWORD)

let directory: string
let pooler: { child: ChildProcess; url: string } | undefined
let server: ServerProcess | undefined

/** The recipe's block in a language that holds `mark`, with its blanks filled in. */
function recipe(language: string, mark: string): string {
  return block(language, mark).replaceAll('…', PASSWORD)
}

async function startPooler(): Promise<{ child: ChildProcess; url: string }> {
  const port = await freePort()
  const { host, port: postgresPort } = parseConnectionUrl(superuserUrl)
  const users = join(directory, 'userlist.txt')
  const ini = join(directory, 'pgbouncer.ini')
  writeFileSync(users, `"pgbouncer" "${PASSWORD}"\n`)
  writeFileSync(
    ini,
    recipe('ini', 'auth_query')
      .replace('host=db port=5432', `host=${host} port=${postgresPort}`)
      .replace('6432', String(port))
      .replace('/etc/pgbouncer/userlist.txt', users)
      .concat('unix_socket_dir =\n'),
  )
  const [uid = 0, gid = 0] = ['-u', '-g'].map(flag => Number(execFileSync('id', [flag, 'postgres'])))
  for (const path of [users, ini]) chownSync(path, uid, gid)
  // PgBouncer does not run as root.
  const child = spawn('/usr/sbin/pgbouncer', [ini], { uid, gid, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const url = withHost('postgres://rowhouse_api@db/rowhouse?pgbouncer=true', '127.0.0.1', port)
  await new Promise<void>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`PgBouncer ended with ${code}`)))
    child.stderr?.on('data', chunk => String(chunk).includes('process up') && resolve())
  })
  return { child, url }
}

async function stopPooler(): Promise<void> {
  if (!pooler) return
  pooler.child.kill('SIGKILL')
  await once(pooler.child, 'exit')
  pooler = undefined
}

const environment = (databaseUrl: string) => ({
  PATH: '/usr/bin:/bin',
  NODE_ENV: 'test',
  HOST: '127.0.0.1',
  PORT: '0',
  DATA_DIR: join(directory, 'data'),
  APP_URL: 'http://localhost:3000',
  AUTH_SECRET: TEST_AUTH_SECRET,
  ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
  DATABASE_URL: databaseUrl,
  MIGRATE_ON_START: 'false',
})

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rowhouse-recipe-'))
  chmodSync(directory, 0o711)
  mkdirSync(join(directory, 'data'))
  for (const statement of recipe('sql', 'createrole').split(';\n')) {
    if (statement.trim()) await query(superuserUrl, statement)
  }
  execFileSync(process.execPath, ['scripts/kysely-migrate.ts', 'up', '--latest'], {
    env: { PATH: '/usr/bin:/bin', DIRECT_URL: ownerUrl, AUTH_SECRET: TEST_AUTH_SECRET },
    stdio: 'pipe',
  })
  await query(adminUrl, recipe('sql', 'get_auth'))
})

afterAll(async () => {
  await server?.stop()
  await stopPooler()
  rmSync(directory, { recursive: true, force: true })
  await query(superuserUrl, 'drop database if exists rowhouse with (force)')
  await query(superuserUrl, 'drop role if exists pgbouncer, rowhouse_owner')
})

test('a server serves through the pooler, without the owner', async () => {
  pooler = await startPooler()
  server = await startServerProgram([...SERVER_PROGRAM], { env: environment(pooler.url) })
  const ready = await fetch(`${server.url}/readyz`)
  expect([ready.status, await ready.json()]).toEqual([200, { ok: true }])
  const { headers, status } = await fetch(`${server.url}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Ada', email: 'ada@example.com', password: 'correct horse battery staple' }),
  })
  expect(status).toBe(200)
  const calls = Array.from({ length: 20 }, (_, index) =>
    fetch(`${server?.url}/trpc/tasks.create`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${headers.get('set-auth-token')}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ json: { prompt: `Mend roof ${index}` } }),
    }),
  )
  expect((await Promise.all(calls)).map(answer => answer.status)).toEqual(Array(20).fill(200))
  await server.stop()
  server = undefined
  await stopPooler()
})

test("the schema that the recipe adds is no drift of the migrations'", async () => {
  await query(superuserUrl, 'alter role rowhouse_owner createdb')
  const output = execFileSync(process.execPath, ['scripts/kysely-migrate.ts', 'verify'], {
    env: { PATH: '/usr/bin:/bin', DIRECT_URL: ownerUrl, AUTH_SECRET: TEST_AUTH_SECRET },
    encoding: 'utf8',
  })
  expect(output).toContain('the database matches the migrations up to')
})

test("without the grant a server says that the pooler's login may not connect", async () => {
  await query(superuserUrl, 'revoke connect on database rowhouse from pgbouncer')
  pooler = await startPooler()
  await expect(startServerProgram([...SERVER_PROGRAM], { env: environment(pooler.url) })).rejects.toThrow(
    /may lack the right to connect to the database/,
  )
})
