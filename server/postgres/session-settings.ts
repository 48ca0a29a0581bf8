import type { ClientBase } from 'pg'
import type { Login } from './login-names.ts'

// Settings of the server, a database or a role change the meaning of a statement: the format of a date,
// whether `= null` means `is null`, whether triggers fire. A setting of a role in one database overrides the
// others, so each login has ours there.

type Settings = Readonly<Record<string, string>>

/**
 * Postgres's defaults. With another value a login reads or writes different values, and the server refuses to
 * start.
 */
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
 * Also required, but only a superuser may set them. A setting with a dot exists only once its language is
 * loaded.
 */
const REQUIRED_OF_SUPERUSERS: Settings = {
  session_replication_role: 'origin',
  'plpgsql.variable_conflict': 'error',
}

/**
 * Differ between servers. No statement of ours depends on them; if one does by mistake, it behaves alike
 * everywhere.
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

/** How long a transaction may be idle before Postgres ends it and releases its locks. */
const IDLE_TRANSACTION_TIMEOUT = '5s'
/** Longer than an idle transaction lasts, shorter than a statement's deadline. */
const LOCK_TIMEOUT = '6s'

/** Relaxed limits for a transaction that holds no lock and feeds a slow reader. */
export const UNHURRIED = `select
  pg_catalog.set_config('idle_in_transaction_session_timeout', '5min', true),
  case when pg_catalog.current_setting('transaction_timeout', true) is not null
    then pg_catalog.set_config('transaction_timeout', '1h', true)
  end`

/**
 * Limits on what one call may use, even if its client is lost. Some servers do not know or allow all of them.
 */
const BOUNDS: Settings = {
  statement_timeout: '10s',
  lock_timeout: LOCK_TIMEOUT,
  idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT,
  transaction_timeout: '1min',
  idle_session_timeout: '0',
  // Detects a lost host within half a minute, and a client that closed during its statement within two
  // seconds.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '20000',
  client_connection_check_interval: '2s',
}

/** Limits that only a superuser may set. */
const BOUNDS_OF_SUPERUSERS: Settings = { temp_file_limit: '2GB' }

/** Better Auth works longer between two statements of a transaction than our code does. */
const LOGIN_BOUNDS: Partial<Record<Login, Settings>> = {
  rowhouse_auth: { idle_in_transaction_session_timeout: '10s' },
}

/**
 * Settings that an owner's session must not inherit from its role or database while it migrates or reads the
 * catalog.
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

/** A setting as SQL. A search path is a list of names; any other setting is one value. */
export function assignment(name: string, value: string): string {
  return `${name} to ${name === 'search_path' ? value : `'${value}'`}`
}

/** Makes a direct session of the owner independent of the settings of its role, database and server. */
export async function settleOwnerSession(owner: Pick<ClientBase, 'query'>): Promise<void> {
  const statements = Object.entries(OWNERS).map(([name, value]) => `set ${assignment(name, value)}`)
  await owner.query(statements.join('; '))
  // Only a superuser may set it, even to its current value.
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
 * Precedes a statement without a sign-in: resets what an earlier statement may have left on a shared
 * connection. `$1` is the deadline.
 */
export const ENTER_SYSTEM = `${ENTER},
  pg_catalog.set_config('app.credential', '', true),
  pg_catalog.set_config('app.organization', '', true)`

export const ENTER_PUBLIC = `${ENTER},
  pg_catalog.set_config('transaction_read_only', 'on', true)`

/** The settings of a login, by the role that may set them. */
export function settingsOf(login: Login): { required: Settings; anyone: Settings; superusers: Settings } {
  return {
    required: { ...REQUIRED, ...REQUIRED_OF_SUPERUSERS },
    anyone: { ...REQUIRED, ...ALIKE_EVERYWHERE, ...BOUNDS, ...LOGIN_BOUNDS[login] },
    superusers: { ...REQUIRED_OF_SUPERUSERS, ...BOUNDS_OF_SUPERUSERS },
  }
}
