import { ConfigError, loadOwnerConfig } from '#server/app/config.ts'
import { maskUrl } from '#server/postgres/connection-url.ts'
import { openDatabaseServer } from '#server/postgres/database-server.ts'
import { LOGINS } from '#server/postgres/login-names.ts'
import { checkLogins, ensureLogins, type LoginOverrides } from '#server/postgres/logins.ts'
import { connectOwner, refuseBadUrl } from '#server/postgres/migrations/connect.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'

/** The database that a command works on, through its owner. */
export interface OwnerDatabase {
  url: string
  /** How messages name it: the URL without its password, or the embedded server's directory. */
  label: string
  /** Throws where {@link afterUp} would: nothing has been changed yet. */
  beforeUp: () => Promise<void>
  /** Replaces the logins' passwords, also those that are in use and derive from another secret. */
  resetLogins: () => Promise<void>
  /** Sets the logins' passwords and their right to connect, once the migrations have made the logins. */
  afterUp: () => Promise<void>
  /** Stops the embedded server if it was started for the command. */
  close: () => Promise<void>
}

export interface OwnerOptions {
  /** Named on the command line, instead of by the environment. */
  url?: string
  log: (line: string) => void
}

/**
 * Finds the database: `--url`, DIRECT_URL, DATABASE_URL, or the embedded server, which is started when none
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
        "DIRECT_URL is missing: it is the database owner's URL, and migrations need it",
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
        log(`the logins' passwords were left as they are. ${secret.message}`)
      } else await ensureLogins(ownerUrl, secret.authSecret, secret)
    },
    resetLogins: async () => {
      const secret = readSecret()
      if (secret instanceof ConfigError) throw secret
      await ensureLogins(ownerUrl, secret.authSecret, { ...secret, mayReplace: true })
    },
  }
}

/** Migrating does without the secret of production; its absence is told and not thrown. */
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
