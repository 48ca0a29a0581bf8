import { ConfigError, loadOwnerConfig } from '#server/app/config.ts'
import { maskUrl } from '#server/postgres/connection-url.ts'
import { openDatabaseServer } from '#server/postgres/database-server.ts'
import { LOGINS } from '#server/postgres/login-names.ts'
import { checkLogins, ensureLogins, type LoginOverrides } from '#server/postgres/logins.ts'
import { connectOwner, refuseBadUrl } from '#server/postgres/migrations/connect.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'

/** The database of a command, and how to connect to it as its owner. */
export interface OwnerDatabase {
  url: string
  /** Its name in messages: the URL without its password, or the embedded server's directory. */
  label: string
  /** Throws if {@link afterUp} would throw, before anything is changed. */
  beforeUp: () => Promise<void>
  /** Replaces the logins' passwords, even those in use that derive from another secret. */
  resetLogins: () => Promise<void>
  /** Sets the logins' passwords and their right to connect, once the migrations have created the logins. */
  afterUp: () => Promise<void>
  /** Stops the embedded server if this command started it. */
  close: () => Promise<void>
}

export interface OwnerOptions {
  /** Set by `--url`, instead of the environment. */
  url?: string
  log: (line: string) => void
}

/**
 * Finds the database: `--url`, DIRECT_URL, DATABASE_URL, or the embedded server, which it starts if none
 * runs.
 */
export async function openOwnerDatabase({ url, log }: OwnerOptions): Promise<OwnerDatabase> {
  if (url !== undefined) {
    refuseBadUrl(url)
    return { url, label: maskUrl(url), ...loginTasks(url, log), close: async () => undefined }
  }
  const config = loadOwnerConfig()
  const server = await openDatabaseServer(config, { log, share: true })
  const { ownerUrl } = server
  try {
    if (ownerUrl === null) {
      throw new MigrationError(
        'no_owner',
        "DIRECT_URL is missing: set it to the database owner's URL, which migrations need",
      )
    }
    refuseBadUrl(ownerUrl)
  } catch (error) {
    await server.close()
    throw error
  }
  return {
    url: ownerUrl,
    label: server.kind === 'embedded' ? `the embedded Postgres in ${config.dataDir}` : maskUrl(ownerUrl),
    ...loginTasks(ownerUrl, log),
    close: () => server.close(),
  }
}

function loginTasks(
  ownerUrl: string,
  log: (line: string) => void,
): Pick<OwnerDatabase, 'beforeUp' | 'afterUp' | 'resetLogins'> {
  return {
    beforeUp: async () => {
      if (!(await hasLogins(ownerUrl))) return
      const secret = readSecret()
      if (!(secret instanceof ConfigError)) await checkLogins(ownerUrl, secret.authSecret, secret)
    },
    afterUp: async () => {
      if (!(await hasLogins(ownerUrl))) return
      const secret = readSecret()
      if (secret instanceof ConfigError) {
        log(`the logins' passwords were not changed: ${secret.message}`)
      } else await ensureLogins(ownerUrl, secret.authSecret, secret)
    },
    resetLogins: async () => {
      const secret = readSecret()
      if (secret instanceof ConfigError) throw secret
      await ensureLogins(ownerUrl, secret.authSecret, { ...secret, mayReplace: true })
    },
  }
}

/** Returns the error instead of throwing it: migrating needs no AUTH_SECRET in production. */
function readSecret(): { authSecret: string; overrides: LoginOverrides } | ConfigError {
  try {
    const { authSecret, loginUrls } = loadOwnerConfig()
    return { authSecret, overrides: loginUrls }
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

async function hasLogins(ownerUrl: string): Promise<boolean> {
  const client = await connectOwner(ownerUrl)
  try {
    const { rows } = await client.query('select from pg_catalog.pg_roles where rolname = any ($1)', [
      [...LOGINS],
    ])
    return rows.length === LOGINS.length
  } finally {
    await client.end()
  }
}

/** Throws when the environment says that this is production. */
export function refuseProduction(command: string): void {
  const { environment, database } = loadOwnerConfig()
  const isProduction =
    environment === 'production' || (database.kind === 'external' && database.method === 'PRODUCTION')
  if (!isProduction) return
  throw new MigrationError('production', `${command} drops data and is refused in production`)
}
