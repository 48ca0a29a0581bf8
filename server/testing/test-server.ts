import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { isPgbouncer, withCredentials, withDatabase } from '#server/postgres/connection-url.ts'
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { LOGINS } from '#server/postgres/login-names.ts'
import { ensureLogins } from '#server/postgres/logins.ts'
import { migrateToLatest } from '#server/postgres/migrations/runner.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { readTestEnvironment, TEST_AUTH_SECRET } from './environment.ts'
import { throwawayDirectory } from './throwaway-directory.ts'

/** The data with which tests create databases; plain, because the setup sends it to the workers. */
export interface TestServer {
  /** A superuser's direct URL of the maintenance database. */
  readonly superuserUrl: string
  /** The direct URL of the owner of all test databases. */
  readonly ownerUrl: string
  /** The logins' URL: the pooler's, if there is one. */
  readonly poolUrl: string
  /** The prefix of all databases of this run. */
  readonly prefix: string
  /** The migrated database that tests copy. */
  readonly template: string
}

const OWNER = 'rowhouse_test_owner'

/**
 * Starts or finds the suite's Postgres and prepares the template. The returned function removes everything.
 */
export async function openTestServer(): Promise<{ server: TestServer; close(): Promise<void> }> {
  const { owner, ...environment } = readTestEnvironment()
  if (environment.directUrl && isPgbouncer(environment.directUrl)) {
    throw new Error(
      'TEST_DATABASE_URL is a pooler: set TEST_DIRECT_URL to the server behind it, as a superuser.',
    )
  }
  const embedded = environment.directUrl ? null : await startThrowaway()
  const superuserUrl = environment.directUrl ?? embedded?.url ?? ''
  const prefix = `rowhouse_test_${randomBytes(4).toString('hex')}`
  const server: TestServer = {
    superuserUrl,
    ownerUrl: owner === 'superuser' ? superuserUrl : withCredentials(superuserUrl, OWNER, TEST_AUTH_SECRET),
    poolUrl: environment.databaseUrl ?? superuserUrl,
    prefix,
    template: `${prefix}_template`,
  }
  const close = async () => {
    if (!embedded) await dropAll(server)
    await embedded?.stop()
  }
  try {
    if (owner === 'restricted') await asSuperuser(server, createOwner)
    await createTemplate(server)
  } catch (error) {
    await close()
    throw error
  }
  return { server, close }
}

export async function asSuperuser<T>(server: TestServer, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(toPgConfig(server.superuserUrl))
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** The owner of a database, quoted for SQL. */
export function ownerIdentifier(server: TestServer): string {
  return escapeIdentifier(toPgConfig(server.ownerUrl).user ?? OWNER)
}

async function startThrowaway(): Promise<{ url: string; stop(): Promise<void> }> {
  const dataDir = throwawayDirectory('test')
  const remove = () => rmSync(dataDir, { recursive: true, force: true })
  const server = await startEmbeddedPostgres({
    dataDir,
    isDurable: false,
    settings: {
      max_connections: '300',
      shared_buffers: '256MB',
      wal_level: 'minimal',
      max_wal_senders: '0',
      max_wal_size: '1GB',
      checkpoint_timeout: '30min',
      // Autovacuum on the template would delay its copies.
      autovacuum_naptime: '10min',
    },
  })
  // An interrupted run never reaches its end, and an exit hook can't wait, so the server is killed and not
  // stopped.
  const abandon = () => {
    const pid = server.pid()
    if (pid) process.kill(pid, 'SIGQUIT')
    remove()
  }
  process.once('exit', abandon)
  return {
    url: withDatabase(server.url, 'postgres'),
    async stop() {
      process.off('exit', abandon)
      await server.stop()
      remove()
    },
  }
}

// The owner that a hosted Postgres provides for migrations: not a superuser. On a reused server the logins
// may exist already, created by another role, and Postgres 16 would not let this owner manage them.
async function createOwner(client: Client): Promise<void> {
  await client.query(
    `do $$ begin
       create role ${OWNER};
     exception when duplicate_object or unique_violation then null;
     end $$`,
  )
  await client.query(
    `alter role ${OWNER} login nosuperuser nobypassrls createdb createrole password ${escapeLiteral(TEST_AUTH_SECRET)}`,
  )
  const { rows } = await client.query<{ rolname: string; version: number }>(
    `select rolname, current_setting('server_version_num')::int as version from pg_roles where rolname = any($1)`,
    [LOGINS],
  )
  for (const { rolname, version } of rows) {
    const terms = version >= 160_000 ? 'with admin true, inherit false, set false' : 'with admin option'
    await client.query(`grant ${escapeIdentifier(rolname)} to ${OWNER} ${terms}`)
  }
}

async function createTemplate(server: TestServer): Promise<void> {
  await asSuperuser(server, client =>
    client.query(`create database ${server.template} ${emptyDatabaseOptions(server)}`),
  )
  const url = withDatabase(server.ownerUrl, server.template)
  await migrateToLatest({ url })
  await ensureLogins(url, TEST_AUTH_SECRET)
  // A connection to the template would make every copy fail.
  await asSuperuser(server, client =>
    client.query(`alter database ${server.template} with allow_connections false`),
  )
}

/** The options of a database without our migrations: UTF-8, whatever the server's default. */
export function emptyDatabaseOptions(server: TestServer): string {
  return `owner ${ownerIdentifier(server)} template template0 encoding 'UTF8'`
}

async function dropAll(server: TestServer): Promise<void> {
  await asSuperuser(server, async client => {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [server.prefix],
    )
    for (const { datname } of rows) {
      await client.query(`drop database if exists ${escapeIdentifier(datname)} with (force)`)
    }
  })
}
