import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { explainConnectionError } from './connection-test.ts'
import { withCredentials } from './connection-url.ts'
import { LOGINS, type Login } from './login-names.ts'
import { PostgresClient, toPgConfig } from './postgres-client.ts'

/** The logins can't be set up; the message says what a database administrator can do. */
export class LoginSetupError extends Error {
  override readonly name = 'LoginSetupError'
}

interface WantedPassword {
  readonly login: Login
  /** Null if the operator sets it. */
  readonly password: string | null
  /** True if a password that is in use may be replaced. */
  readonly mayReplace?: boolean
}

/**
 * Sets the login's password unless one is in use: a role without the right to log in, as migrations create
 * it, has none. Throws {@link LoginSetupError} if it has another one.
 */
export async function ensurePassword(owner: Client, ownerUrl: string, wanted: WantedPassword): Promise<void> {
  const { login, password } = wanted
  const change =
    password === null
      ? `alter role ${login} login`
      : // The verifier instead of the password: a statement may end up in the server's log. It holds no quote.
        `alter role ${login} login password '${scramVerifier(password)}'`
  try {
    await retryConcurrent(async () => {
      const role = await readRole(owner, login)
      if (role.canLogIn && (password === null || (await hasPassword(ownerUrl, { ...wanted, password }))))
        return
      await changeUnlessInUse(owner, { ...role, login, change, mayReplace: wanted.mayReplace })
    })
  } catch (error) {
    if (!hasCode(error, '42501')) throw error
    throw new LoginSetupError(
      `"${owner.user}" may not set the password of ${login}. As a superuser run: alter role "${owner.user}" createrole; ` +
        `grant ${LOGINS.join(', ')} to "${owner.user}" with admin option; or give each login a URL of its own (${variableOf(login)}).`,
      { cause: error },
    )
  }
  if (password === null) return
  const failure = await tryLogin(withCredentials(ownerUrl, login, password))
  if (failure) throw new LoginSetupError(`${login} can't log in with its new password: ${failure.reason}`)
}

/** Throws {@link LoginSetupError} if the login has another password that is in use. */
export async function checkPassword(
  owner: Client,
  ownerUrl: string,
  wanted: { login: Login; password: string },
): Promise<void> {
  const role = await readRole(owner, wanted.login).catch(error => {
    // The role does not exist yet: migrating creates it.
    if (error instanceof LoginSetupError) return null
    throw error
  })
  if (role?.canLogIn) await hasPassword(ownerUrl, wanted)
}

/** Returns whether the login works with this password; false if another password may be replaced. */
async function hasPassword(
  ownerUrl: string,
  { login, password, mayReplace = false }: { login: Login; password: string; mayReplace?: boolean },
): Promise<boolean> {
  const failure = await tryLogin(withCredentials(ownerUrl, login, password))
  // Postgres checks the password before the right to connect, which may be granted later.
  if (!failure || failure.code === '42501') return true
  if (mayReplace) return false
  if (failure.code !== '28P01') throw new LoginSetupError(`${login} can't log in: ${failure.reason}`)
  throw new LoginSetupError(
    `${login} has another password than the one derived from this AUTH_SECRET; nothing was changed. All databases of a ` +
      'Postgres server share their logins, so another installation or a running server may use that password. Either set its ' +
      `AUTH_SECRET; or set the URLs of all four logins (${variableOf(login)} and so on) with the passwords in use; or use ` +
      'another Postgres server. If you changed the secret on purpose, stop all servers with the old one and run ' +
      'npx kysely-migrate logins --reset',
  )
}

interface Role {
  readonly canLogIn: boolean
  readonly connectionLimit: number
}

async function readRole(owner: Client, login: Login): Promise<Role> {
  const { rows } = await owner.query<Role>(
    `select rolcanlogin as "canLogIn", rolconnlimit as "connectionLimit" from pg_catalog.pg_roles where rolname = $1`,
    [login],
  )
  const [role] = rows
  if (!role) throw missingLogin(new Error(`role "${login}" does not exist`))
  return role
}

/**
 * Changes the password unless another installation that starts at the same time has set one: the second one
 * then finds that password in use.
 */
async function changeUnlessInUse(
  owner: Client,
  {
    login,
    change,
    mayReplace,
    canLogIn,
    connectionLimit,
  }: Role & { login: Login; change: string; mayReplace?: boolean | undefined },
): Promise<void> {
  await owner.query('begin')
  try {
    if (!mayReplace) {
      // Changes nothing, but locks the role's row against the owners of other databases until the end of the
      // transaction.
      await owner.query(`alter role ${login} connection limit ${connectionLimit}`)
      const { canLogIn: isInUse } = await readRole(owner, login)
      if (isInUse && !canLogIn)
        throw Object.assign(new Error('the role was changed meanwhile'), { code: RACE })
    }
    await owner.query(change)
    await owner.query('commit')
  } catch (error) {
    await owner.query('rollback')
    throw error
  }
}

interface LoginFailure {
  readonly code: string
  readonly reason: string
}

/** Returns why the login fails; null if it succeeds. Throws if the server is at fault, not the login. */
async function tryLogin(url: string): Promise<LoginFailure | null> {
  const client = new PostgresClient({ ...toPgConfig(url), connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return null
  } catch (error) {
    const reason = explainConnectionError(error, url, 10_000)
    // Errors of the network, too many connections, and a server that is starting or stopping.
    if (/^(E[A-Z]+|53...|57...)$/.test(codeOf(error))) {
      throw new LoginSetupError(`the logins can't be checked: ${reason}`, { cause: error })
    }
    return { code: codeOf(error), reason }
  } finally {
    client.end().catch(() => {})
  }
}

/** The SCRAM-SHA-256 verifier (RFC 5803) that Postgres stores for a password and accepts in its place. */
export function scramVerifier(password: string, salt = randomBytes(16), iterations = 4096): string {
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  const serverKey = keyOf('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`
}

/** Postgres's code for "tuple concurrently updated" or "deleted", whose text may be translated. */
const RACE = 'XX000'

// Retries a change of a role or of a database's grants: if two processes change one at once, Postgres fails
// one of them.
export async function retryConcurrent(change: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await change()
      return
    } catch (error) {
      // Or both inserted the same row of the catalog.
      const isRace = hasCode(error, RACE) || hasCode(error, '23505')
      if (!isRace || attempt === 30) throw error
      await sleep(Math.random() * 20 * Math.min(attempt, 10))
    }
  }
}

export function missingLogin(cause: unknown): LoginSetupError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new LoginSetupError(`${reason}: create it with npx kysely-migrate up --latest`, { cause })
}

function variableOf(login: Login): string {
  return `${login.replace('rowhouse_', '').toUpperCase()}_DATABASE_URL`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

export function hasCode(error: unknown, code: string): boolean {
  return codeOf(error) === code
}
