import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { closeCatalog } from './catalog-rights.ts'
import { explainConnectionError } from './connection-test.ts'
import { parseConnectionUrl, withCredentials } from './connection-url.ts'
import { ensureLoginSettings } from './login-settings.ts'
import type { LoginUrls } from './pools.ts'
import { PostgresClient, toPgConfig } from './postgres-client.ts'
import { settleOwnerSession } from './session-settings.ts'

/** The roles that serve. None owns anything; what each may do is in the migrations. */
export const LOGINS = ['rowhouse_api', 'rowhouse_public', 'rowhouse_auth', 'rowhouse_system'] as const

export type Login = (typeof LOGINS)[number]

/** The logins can't be set up, and what a database administrator can do about it. */
export class LoginSetupError extends Error {
  override readonly name = 'LoginSetupError'
}

/** The login's password, the same in every process that knows the secret. */
export function loginPassword(authSecret: string, login: Login): string {
  return createHmac('sha256', authSecret).update(`database login ${login}`).digest('base64url')
}

export interface LoginUrlOptions {
  /** Any URL of the database; its credentials are replaced. Null when every login has an override. */
  baseUrl: string | null
  /** A URL that leads past the pooler, where `baseUrl` may not. */
  directUrl?: string | null
  authSecret: string
  overrides?: LoginOverrides
}

type LoginOverrides = Partial<Omit<LoginUrls, 'listen'>>

/** The URL that each login serves from. */
export function loginUrls(options: LoginUrlOptions): LoginUrls {
  const { baseUrl, directUrl = null, authSecret, overrides = {} } = options
  const urlOf = (login: Login, override: string | undefined): string => {
    if (override !== undefined) return override
    if (baseUrl === null) throw new LoginSetupError(`there is no URL that ${login} could log in at`)
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

/**
 * After migrating: lets the four logins, and nobody else, connect to this database, closes what Postgres opens to everyone where
 * the owner may, and gives the logins their settings here and the passwords that derive from the secret. A login whose URL is
 * overridden keeps its password. What is already so is left alone, so an owner without the right to change it succeeds too.
 * Logins are shared by all databases of a cluster.
 */
export async function ensureLogins(
  ownerUrl: string,
  authSecret: string,
  { overrides = {} }: { overrides?: LoginOverrides } = {},
): Promise<void> {
  const overridden: Record<Login, boolean> = {
    rowhouse_api: overrides.api !== undefined,
    rowhouse_public: overrides.public !== undefined,
    rowhouse_auth: overrides.auth !== undefined,
    rowhouse_system: overrides.system !== undefined,
  }
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
      if (!overridden[login]) await ensurePassword(owner, ownerUrl, { login, authSecret })
    }
  } finally {
    await owner.end()
  }
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
  // Postgres answers a grant by someone who may not grant with a warning and no error.
  const after = statements.length > 0 ? await readAccess(owner) : before
  const left = accessStatements(after)
  if (left.length > 0) {
    throw new LoginSetupError(
      `"${after.owner}" may not decide who connects to the database "${after.database}". As its owner or a superuser run: ${left.join('; ')};`,
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

async function ensurePassword(
  owner: Client,
  ownerUrl: string,
  { login, authSecret }: { login: Login; authSecret: string },
): Promise<void> {
  const password = loginPassword(authSecret, login)
  const url = withCredentials(ownerUrl, login, password)
  if ((await tryLogin(url)) === null) return
  try {
    // The verifier instead of the password: a statement may end up in the server's log. It holds no quote.
    await retryConcurrent(() =>
      owner.query(`alter role ${login} login password '${scramVerifier(password)}'`),
    )
  } catch (error) {
    if (hasCode(error, '42704')) throw missingLogin(error)
    if (!hasCode(error, '42501')) throw error
    throw new LoginSetupError(
      `"${owner.user}" may not set the password of ${login}. As a superuser run: alter role "${owner.user}" createrole; ` +
        `grant ${LOGINS.join(', ')} to "${owner.user}" with admin option; or give each login a URL of its own (${variableOf(login)}).`,
      { cause: error },
    )
  }
  const reason = await tryLogin(url)
  if (reason !== null) throw new LoginSetupError(`${login} can't log in with its new password: ${reason}`)
}

/** Why the login fails; null when it succeeds. Throws when the server, and not the login, is at fault. */
async function tryLogin(url: string): Promise<string | null> {
  const client = new PostgresClient({ ...toPgConfig(url), connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return null
  } catch (error) {
    const reason = explainConnectionError(error, url, 10_000)
    // Errors of the network, of too many connections and of a server that starts or stops.
    if (/^(E[A-Z]+|53...|57...)$/.test(codeOf(error))) {
      throw new LoginSetupError(`the logins can't be checked: ${reason}`, { cause: error })
    }
    return reason
  } finally {
    client.end().catch(() => {})
  }
}

/** What Postgres stores for a password under SCRAM-SHA-256 (RFC 5803); it takes it in place of the password. */
export function scramVerifier(password: string, salt = randomBytes(16), iterations = 4096): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  const serverKey = keyOf('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`
}

// Several databases of a cluster may change the same role, or one database's grants, at once; Postgres lets one win.
async function retryConcurrent(change: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await change()
      return
    } catch (error) {
      // "tuple concurrently updated" or "deleted", in whatever language the server speaks, and rows of the catalog made twice.
      const isRace = hasCode(error, 'XX000') || hasCode(error, '23505')
      if (!isRace || attempt === 30) throw error
      await sleep(Math.random() * 20 * Math.min(attempt, 10))
    }
  }
}

function missingLogin(cause: unknown): LoginSetupError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new LoginSetupError(`${reason}; run npx kysely-migrate up --latest, which creates it`, { cause })
}

function variableOf(login: Login): string {
  return `${login.replace('rowhouse_', '').toUpperCase()}_DATABASE_URL`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

function hasCode(error: unknown, code: string): boolean {
  return codeOf(error) === code
}
