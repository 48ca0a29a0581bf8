import { createHmac } from 'node:crypto'
import type { Client } from 'pg'
import { closeCatalog } from './catalog-rights.ts'
import { parseConnectionUrl, withCredentials } from './connection-url.ts'
import { LOGINS, type Login } from './login-names.ts'
import {
  checkPassword,
  ensurePassword,
  hasCode,
  LoginSetupError,
  missingLogin,
  retryConcurrent,
} from './login-passwords.ts'
import { ensureLoginSettings } from './login-settings.ts'
import type { LoginUrls } from './pools.ts'
import { PostgresClient, toPgConfig } from './postgres-client.ts'
import { settleOwnerSession } from './session-settings.ts'

/** Derives the login's password from the secret, so that every process with the secret knows it. */
export function loginPassword(authSecret: string, login: Login): string {
  return createHmac('sha256', authSecret).update(`database login ${login}`).digest('base64url')
}

export interface LoginUrlOptions {
  /** Any URL of the database; its credentials are replaced. Null if every login has an override. */
  baseUrl: string | null
  /** A direct URL, if `baseUrl` may be a pooler's. */
  directUrl?: string | null
  authSecret: string
  overrides?: LoginOverrides
}

export type LoginOverrides = Partial<Omit<LoginUrls, 'listen'>>

/** The URL with which each login serves. */
export function loginUrls(options: LoginUrlOptions): LoginUrls {
  const { baseUrl, directUrl = null, authSecret, overrides = {} } = options
  const urlOf = (login: Login, override: string | undefined): string => {
    if (override !== undefined) return override
    if (baseUrl === null)
      throw new LoginSetupError(`there is no URL for ${login}: set DATABASE_URL or ${login}'s own URL`)
    return withCredentials(baseUrl, login, loginPassword(authSecret, login))
  }
  const urls = {
    api: urlOf('rowhouse_api', overrides.api),
    public: urlOf('rowhouse_public', overrides.public),
    auth: urlOf('rowhouse_auth', overrides.auth),
    system: urlOf('rowhouse_system', overrides.system),
  }
  return { ...urls, listen: directUrl === null ? urls.system : withCredentialsOf(directUrl, urls.system) }
}

function withCredentialsOf(url: string, other: string): string {
  const { user, password } = parseConnectionUrl(other)
  return withCredentials(url, user, password)
}

export interface EnsureLoginsOptions {
  overrides?: LoginOverrides
  /**
   * True if a password that is in use may be replaced: every server with the old one then fails to log in.
   */
  mayReplace?: boolean
}

/**
 * Runs after migrating: lets only the four logins and the owner connect to this database, revokes the
 * Postgres functions that everyone may execute (if the owner may), and sets the logins' settings here and
 * their passwords, which derive from the secret. A login with an overridden URL keeps its password. Changes
 * nothing that is already right, so that an owner without the right to change it succeeds too. All databases
 * of a cluster share the logins: a password that derives from another secret belongs to another installation
 * and throws {@link LoginSetupError}, unless it may be replaced.
 */
export async function ensureLogins(
  ownerUrl: string,
  authSecret: string,
  { overrides = {}, mayReplace = false }: EnsureLoginsOptions = {},
): Promise<void> {
  const owner = new PostgresClient(toPgConfig(ownerUrl))
  owner.on('error', () => {})
  await owner.connect()
  try {
    await settleOwnerSession(owner)
    await closeDatabaseToOthers(owner)
    await retryConcurrent(() => closeCatalog(owner))
    await retryConcurrent(() =>
      ensureLoginSettings(owner, { database: parseConnectionUrl(ownerUrl).database, logins: LOGINS }),
    )
    for (const login of LOGINS) {
      const password = isOverridden(overrides, login) ? null : loginPassword(authSecret, login)
      await ensurePassword(owner, ownerUrl, { login, password, mayReplace })
    }
  } finally {
    await owner.end()
  }
}

/**
 * Runs before migrating: throws {@link LoginSetupError} if {@link ensureLogins} would find a password that is
 * in use and derives from another secret. Changes nothing.
 */
export async function checkLogins(
  ownerUrl: string,
  authSecret: string,
  { overrides = {} }: { overrides?: LoginOverrides } = {},
): Promise<void> {
  const owner = new PostgresClient(toPgConfig(ownerUrl))
  owner.on('error', () => {})
  await owner.connect()
  try {
    await settleOwnerSession(owner)
    for (const login of LOGINS) {
      if (isOverridden(overrides, login)) continue
      await checkPassword(owner, ownerUrl, { login, password: loginPassword(authSecret, login) })
    }
  } finally {
    await owner.end()
  }
}

function isOverridden({ api, public: published, auth, system }: LoginOverrides, login: Login): boolean {
  const overrides = {
    rowhouse_api: api,
    rowhouse_public: published,
    rowhouse_auth: auth,
    rowhouse_system: system,
  }
  return overrides[login] !== undefined
}

interface DatabaseAccess {
  database: string
  owner: string
  isPublic: boolean
  missing: Login[]
}

async function closeDatabaseToOthers(owner: Client): Promise<void> {
  const before = await readAccess(owner)
  const statements = accessStatements(before)
  try {
    for (const statement of statements) await retryConcurrent(() => owner.query(statement))
  } catch (error) {
    if (hasCode(error, '42704')) throw missingLogin(error)
    if (!hasCode(error, '42501')) throw error
  }
  // Postgres only warns about a grant by a role that may not grant, so this reads the result.
  const after = statements.length > 0 ? await readAccess(owner) : before
  const left = accessStatements(after)
  if (left.length > 0) {
    throw new LoginSetupError(
      `"${after.owner}" may not grant the right to connect to the database "${after.database}". As its owner or a superuser run: ${left.join('; ')};`,
    )
  }
}

async function readAccess(owner: Client): Promise<DatabaseAccess> {
  const { rows } = await owner.query<DatabaseAccess>(
    `with access as (
       select datname, privilege_type, grantee
       from pg_catalog.pg_database, pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba)))
       where datname = current_database()
     )
     select current_database() as database, current_user as owner,
       exists (select from access where grantee = 0) as "isPublic",
       array(
         select login from unnest($1::text[]) login
         where not exists (
           select from access join pg_catalog.pg_roles role on role.oid = grantee
           where rolname = login and privilege_type = 'CONNECT'
         )
       ) as missing`,
    [LOGINS],
  )
  const [access] = rows
  if (!access) throw new Error('a query without a from clause returned no row')
  return access
}

function accessStatements({ database, isPublic, missing }: DatabaseAccess): string[] {
  const name = `"${database.replaceAll('"', '""')}"`
  return [
    ...(isPublic ? [`revoke all on database ${name} from public`] : []),
    ...(missing.length > 0 ? [`grant connect on database ${name} to ${missing.join(', ')}`] : []),
  ]
}
