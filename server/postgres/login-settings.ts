import type { ClientBase } from 'pg'
import type { Login } from './login-names.ts'
import { assignment, settingsOf } from './session-settings.ts'

type Queryable = Pick<ClientBase, 'query'>

/** A login's settings would change the values that it reads or writes. */
class LoginSettingsError extends Error {
  override readonly name = 'LoginSettingsError'
}

/** Postgres refuses this setting on platforms that do not support it. */
const PLATFORM_DEPENDENT = 'client_connection_check_interval'

interface StoredSettings {
  readonly login: Login
  readonly stored: readonly string[]
  readonly known: readonly string[]
  readonly isSuperuser: boolean
}

/**
 * Sets each login's settings in this database, which override those of the database, the role and the server.
 * Writes only settings that differ. Skips those that the owner may not set: {@link checkLoginSettings}
 * reports the ones that matter.
 */
export async function ensureLoginSettings(
  owner: Queryable,
  { database, logins }: { database: string; logins: readonly Login[] },
): Promise<void> {
  const { rows } = await owner.query<StoredSettings>(
    `select
       role.rolname::text as login, coalesce(stored.setconfig, '{}') as stored,
       array(select name from pg_catalog.pg_settings) as known,
       (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as "isSuperuser"
     from pg_catalog.pg_roles role
     left join pg_catalog.pg_db_role_setting stored
       on stored.setrole = role.oid
       and stored.setdatabase = (select oid from pg_catalog.pg_database where datname = $1)
     where role.rolname = any ($2)`,
    [database, logins],
  )
  for (const row of rows) await ensureSettings(owner, database, row)
}

async function ensureSettings(owner: Queryable, database: string, row: StoredSettings): Promise<void> {
  const { anyone, superusers } = settingsOf(row.login)
  const wanted = { ...anyone, ...(row.isSuperuser ? superusers : {}) }
  const missing = Object.entries(wanted).filter(
    ([name, value]) =>
      (row.known.includes(name) || name.includes('.')) && !row.stored.includes(`${name}=${value}`),
  )
  const statements = (isDependent: boolean) =>
    missing
      .filter(([name]) => (name === PLATFORM_DEPENDENT) === isDependent)
      .map(([name, value]) => alterRole({ login: row.login, database, name, value }))
      .join('; ')
  try {
    await owner.query(statements(false))
    await owner.query(statements(true)).catch(ignore('22023'))
  } catch (error) {
    ignore('42501')(error)
  }
}

function ignore(code: string): (error: unknown) => void {
  return error => {
    if (!(error instanceof Error && 'code' in error && error.code === code)) throw error
  }
}

function alterRole(setting: { login: Login; database: string; name: string; value: string }): string {
  const { login, database, name, value } = setting
  return `alter role ${login} in database "${database.replaceAll('"', '""')}" set ${assignment(name, value)}`
}

interface Effective {
  readonly name: string
  readonly actual: string
  readonly source: string | null
  readonly database: string
}

/** The limits without which a forgotten transaction keeps its row locks. */
const ESSENTIAL_BOUNDS = ['idle_in_transaction_session_timeout', 'lock_timeout']

/**
 * Compares the actual settings of a login's session with the required ones. Throws {@link
 * LoginSettingsError}, which names every wrong setting and the statement that repairs it; returns a warning
 * for each missing limit.
 */
export async function checkLoginSettings(client: Queryable, login: Login): Promise<string[]> {
  const { required, anyone } = settingsOf(login)
  const wanted = { ...anyone, ...required }
  const { rows } = await client.query<Effective>(
    `select
       wanted.name, actual, pg_catalog.current_database()::text as database,
       (select s.source from pg_catalog.pg_settings s where s.name operator(pg_catalog.=) wanted.name) as source
     from unnest($1::text[], $2::text[]) as wanted (name, value)
     cross join lateral pg_catalog.current_setting(wanted.name, true) as actual
     where actual operator(pg_catalog.<>) wanted.value`,
    [Object.keys(wanted), Object.values(wanted)],
  )
  const lineOf = ({ name, actual, source, database }: Effective) =>
    `${login} has ${name} = ${actual}, but needs ${wanted[name]}: ${mendingOf({
      source,
      statement: alterRole({ login, database, name, value: wanted[name] ?? '' }),
    })}`
  const wrong = rows.filter(({ name }) => name in required)
  if (wrong.length > 0) throw new LoginSettingsError(wrong.map(lineOf).join('\n'))
  return rows.filter(({ name }) => ESSENTIAL_BOUNDS.includes(name)).map(lineOf)
}

function mendingOf({ source, statement }: { source: string | null; statement: string }): string {
  return source === 'client'
    ? 'remove it from the options of the URL, or from PGOPTIONS'
    : `run npx kysely-migrate up --latest, or as a superuser: ${statement}; then reconnect the pooler, if there is one`
}
