import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { inject } from 'vitest'
import { withDatabase } from '#server/postgres/connection-url.ts'
import { LOGINS } from '#server/postgres/login-names.ts'
import { ensureLoginSettings } from '#server/postgres/login-settings.ts'
import { loginUrls } from '#server/postgres/logins.ts'
import type { LoginUrls } from '#server/postgres/pools.ts'
import { toPgConfig } from '#server/postgres/postgres-client.ts'
import { TEST_AUTH_SECRET } from './environment.ts'
import { asSuperuser, emptyDatabaseOptions, ownerIdentifier, type TestServer } from './test-server.ts'

/** A database for one test. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string
  readonly ownerUrl: string
  readonly superuserUrl: string
  /** The URLs of the four logins, through the pooler if the suite uses one. */
  readonly urls: LoginUrls
  /** The direct URLs of the four logins. */
  readonly directUrls: LoginUrls
  /** Ends its connections and drops it. Idempotent. */
  drop(): Promise<void>
}

/** Creates a copy of the migrated template, to which only its owner and the four logins may connect. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = inject('testServer')
  const database = describeDatabase(server)
  await createDatabase(server, [
    `create database ${database.name} owner ${ownerIdentifier(server)} template ${server.template} strategy file_copy`,
    // A copy of a database lacks its grants and the settings of its logins.
    `revoke all on database ${database.name} from public`,
    `grant connect on database ${database.name} to ${LOGINS.join(', ')}`,
  ])
  await asSuperuser(server, client =>
    ensureLoginSettings(client, { database: database.name, logins: LOGINS }),
  )
  return database
}

/** Creates a database without our migrations. The logins exist, and the test grants their rights. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  const server = inject('testServer')
  const database = describeDatabase(server)
  await createDatabase(server, [`create database ${database.name} ${emptyDatabaseOptions(server)}`])
  return database
}

/** Connections of the database's owner, to read rows and to change them without the server. */
export function openOwnerPool({ ownerUrl }: Pick<TestDatabase, 'ownerUrl'>): pg.Pool {
  const pool = new pg.Pool({ ...toPgConfig(ownerUrl), max: 2 })
  // A pool does not wait for its sockets to close, so dropping the database ends them with an error.
  return pool.on('error', () => {}).on('connect', client => client.on('error', () => {}))
}

function describeDatabase(server: TestServer): TestDatabase {
  const name = `${server.prefix}_${randomBytes(6).toString('hex')}`
  const loginsAt = (url: string) =>
    loginUrls({
      baseUrl: withDatabase(url, name),
      directUrl: withDatabase(server.superuserUrl, name),
      authSecret: TEST_AUTH_SECRET,
    })
  const drop = () =>
    asSuperuser(server, async client => {
      await client.query(`drop database if exists ${name} with (force)`)
    })
  return {
    name,
    ownerUrl: withDatabase(server.ownerUrl, name),
    superuserUrl: withDatabase(server.superuserUrl, name),
    urls: loginsAt(server.poolUrl),
    directUrls: loginsAt(server.superuserUrl),
    drop,
    [Symbol.asyncDispose]: drop,
  }
}

// Retries: the template is briefly in use while another worker copies it, on servers that copy with their own
// connection.
async function createDatabase(server: TestServer, statements: readonly string[]): Promise<void> {
  await asSuperuser(server, async client => {
    for (const statement of statements) {
      for (let attempt = 1; ; attempt++) {
        try {
          await client.query(statement)
          break
        } catch (error) {
          const isInUse = error instanceof Error && 'code' in error && error.code === '55006'
          if (!isInUse || attempt === 50) throw error
          await sleep(50)
        }
      }
    }
  })
}
