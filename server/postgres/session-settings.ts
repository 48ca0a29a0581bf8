import type { ClientBase } from 'pg'
import type { Login } from './login-names.ts'

// Settings of the server, a database or a role change what a statement means: how a date is written, whether
// `= null` is `is null`, whether triggers fire. A setting of a role in one database beats all of those, so
// each login has ours there.

type Settings = Readonly<Record<string, string>>

/** As Postgres comes. A login with another value reads or writes something else, and so does not serve. */
const REQUIRED: Settings = {
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  xmloption: 'content',
  xmlbinary: 'base64',
  standard_conforming_strings: 'on',
  backslash_quote: 'safe_encoding',
  array_nulls: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  gin_fuzzy_search_limit: '0',
  row_security: 'on',
  default_transaction_read_only: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
}

/**
 * Required as well, but only a superuser may set them. A name with a dot exists once its language is loaded.
 */
const REQUIRED_OF_SUPERUSERS: Settings = {
  session_replication_role: 'origin',
  'plpgsql.variable_conflict': 'error',
}

/**
 * Differ from server to server. No statement of ours depends on them; one that comes to does so everywhere
 * alike.
 */
const ALIKE_EVERYWHERE: Settings = {
  TimeZone: 'UTC',
  lc_monetary: 'C',
  lc_numeric: 'C',
  lc_time: 'C',
  default_text_search_config: 'pg_catalog.simple',
  search_path: 'pg_catalog, pg_temp',
  synchronous_commit: 'on',
}

/** How long a transaction stays open with nothing to do, before Postgres ends it and frees its rows. */
const IDLE_TRANSACTION_TIMEOUT = '5s'
/** Longer than a forgotten transaction lasts, shorter than a statement's deadline. */
const LOCK_TIMEOUT = '6s'

/** In place of the bounds of other transactions, for one that holds no lock and feeds a slow reader. */
export const UNHURRIED = `select
  pg_catalog.set_config('idle_in_transaction_session_timeout', '5min', true),
  case when pg_catalog.current_setting('transaction_timeout', true) is not null
    then pg_catalog.set_config('transaction_timeout', '1h', true)
  end`

/** What one call may take from the others, however it ends. Not every server knows or allows each of them. */
const BOUNDS: Settings = {
  statement_timeout: '10s',
  lock_timeout: LOCK_TIMEOUT,
  idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT,
  transaction_timeout: '1min',
  idle_session_timeout: '0',
  // A host that is gone is noticed within half a minute, and a client that closed while its statement waits
  // in two seconds.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20000',
  client_connection_check_interval: '2s',
}

/** Bounds that only a superuser may set. */
const BOUNDS_OF_SUPERUSERS: Settings = { temp_file_limit: '2GB' }

/** Better Auth does more between two statements of a transaction than we do. */
const LOGIN_BOUNDS: Partial<Record<Login, Settings>> = {
  rowhouse_auth: { idle_in_transaction_session_timeout: '10s' },
}

/**
 * What an owner's session may not inherit from its role or database while it migrates or reads the catalog.
 */
const OWNERS: Settings = {
  ...REQUIRED,
  check_function_bodies: 'on',
  default_tablespace: '',
  default_table_access_method: 'heap',
  temp_tablespaces: '',
  TimeZone: 'UTC',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
}

/** A setting as SQL writes it. A search path is a list of names; everything else is one value. */
export function assignment(name: string, value: string): string {
  return `${name} to ${name === 'search_path' ? value : `'${value}'`}`
}

/**
 * Makes a session of the owner's, past any pooler, independent of what its role, database and server are set
 * to.
 */
export async function settleOwnerSession(owner: Pick<ClientBase, 'query'>): Promise<void> {
  const statements = Object.entries(OWNERS).map(([name, value]) => `set ${assignment(name, value)}`)
  await owner.query(statements.join('; '))
  // Setting it takes a superuser, even to what it is.
  await owner.query(
    `select pg_catalog.set_config('session_replication_role', 'origin', false)
     where pg_catalog.current_setting('session_replication_role') operator(pg_catalog.<>) 'origin'`,
  )
}

const ENTER = `select
  pg_catalog.set_config('statement_timeout', $1, true),
  ${Object.entries({
    search_path: ALIKE_EVERYWHERE.search_path,
    TimeZone: ALIKE_EVERYWHERE.TimeZone,
    lock_timeout: LOCK_TIMEOUT,
    row_security: REQUIRED.row_security,
    bytea_output: REQUIRED.bytea_output,
    transform_null_equals: REQUIRED.transform_null_equals,
    extra_float_digits: REQUIRED.extra_float_digits,
    DateStyle: REQUIRED.DateStyle,
    IntervalStyle: REQUIRED.IntervalStyle,
  })
    .map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', true)`)
    .join(',\n  ')}`

/**
 * In front of a statement that carries no sign-in: what a statement before may have left on a shared
 * connection goes. `$1` is the deadline.
 */
export const ENTER_SYSTEM = `${ENTER},
  pg_catalog.set_config('app.credential', '', true),
  pg_catalog.set_config('app.organization', '', true)`

export const ENTER_PUBLIC = `${ENTER},
  pg_catalog.set_config('transaction_read_only', 'on', true)`

/** What a login is to have, by who may set it. */
export function settingsOf(login: Login): { required: Settings; anyone: Settings; superusers: Settings } {
  return {
    required: { ...REQUIRED, ...REQUIRED_OF_SUPERUSERS },
    anyone: { ...REQUIRED, ...ALIKE_EVERYWHERE, ...BOUNDS, ...LOGIN_BOUNDS[login] },
    superusers: { ...REQUIRED_OF_SUPERUSERS, ...BOUNDS_OF_SUPERUSERS },
  }
}
