/**
 * libpq's parameters (PostgreSQL 18), what each may be, and the environment variable that stands in for it. A
 * parameter works as https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS says, or
 * is refused by name.
 */
interface Parameter {
  readonly variable?: string
  /** What is wrong with a value, in words that follow the value; null for a good one. */
  readonly refuse?: (value: string) => string | null
  /** The value is a secret. */
  readonly isSecret?: boolean
}

const oneOf =
  (...values: readonly string[]) =>
  (value: string) =>
    values.includes(value) ? null : `which is none of ${listWords(values)}`

const wholeNumber = (value: string) =>
  /^\s*[+-]?\d{1,9}\s*$/.test(value) ? null : 'which is no whole number'

/** Refuses every value but those that mean what is done anyway. */
const only =
  (reason: string, ...harmless: readonly string[]) =>
  (value: string) =>
    harmless.includes(value) ? null : reason

const anything = () => null
const never = (reason: string) => only(reason)

const NO_GSS = 'and Rowhouse does not speak GSSAPI: log in with a password or a certificate'
const NO_OAUTH = 'and Rowhouse does not speak OAuth to Postgres: log in with a password or a certificate'
const NO_SOCKET_OPTION =
  'which Node has no way to set: leave it out, and set tcp_keepalives_… or tcp_user_timeout on the server or its roles'

/** The modes of TLS that never connect without it; no-verify is node-postgres's name for libpq's require. */
export const TLS_MODES: readonly string[] = ['require', 'no-verify', 'verify-ca', 'verify-full']
const SSL_MODES = ['disable', 'allow', 'prefer', ...TLS_MODES] as const
export const SESSION_KINDS = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
] as const
const TLS_VERSIONS: readonly string[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
const UTF_8 = /^(auto|utf-?8|unicode)$/i

/** The methods that a server may be allowed to ask for; one with a `!` in front is not. */
export const AUTH_METHODS = ['none', 'password', 'md5', 'scram-sha-256', 'gss', 'sspi', 'oauth'] as const

const PARAMETERS: Readonly<Record<string, Parameter>> = {
  host: { variable: 'PGHOST' },
  hostaddr: { variable: 'PGHOSTADDR' },
  port: { variable: 'PGPORT' },
  dbname: { variable: 'PGDATABASE' },
  user: { variable: 'PGUSER' },
  password: { variable: 'PGPASSWORD', isSecret: true },
  passfile: { variable: 'PGPASSFILE' },
  connect_timeout: { variable: 'PGCONNECT_TIMEOUT', refuse: wholeNumber },
  client_encoding: {
    variable: 'PGCLIENTENCODING',
    refuse: value => (UTF_8.test(value) ? null : 'and Rowhouse speaks UTF8 alone'),
  },
  options: { variable: 'PGOPTIONS' },
  application_name: { variable: 'PGAPPNAME' },
  fallback_application_name: {},
  keepalives: { refuse: wholeNumber },
  keepalives_idle: { refuse: wholeNumber },
  keepalives_interval: { refuse: only(NO_SOCKET_OPTION, '0') },
  keepalives_count: { refuse: only(NO_SOCKET_OPTION, '0') },
  tcp_user_timeout: { refuse: only(NO_SOCKET_OPTION, '0') },
  sslmode: { variable: 'PGSSLMODE', refuse: oneOf(...SSL_MODES) },
  sslnegotiation: { variable: 'PGSSLNEGOTIATION', refuse: oneOf('postgres', 'direct') },
  sslcompression: {
    variable: 'PGSSLCOMPRESSION',
    refuse: only('and TLS is never compressed: leave it out', '0'),
  },
  sslcert: { variable: 'PGSSLCERT' },
  sslkey: {
    variable: 'PGSSLKEY',
    refuse: value =>
      /^[a-z]\w+:/i.test(value) ? 'which names an engine: name a file that holds the key' : null,
  },
  sslcertmode: {
    variable: 'PGSSLCERTMODE',
    refuse: value =>
      value === 'require'
        ? 'and whether a server asked for a certificate is not known here: demand certificates in its pg_hba.conf'
        : oneOf('allow', 'disable')(value),
  },
  sslpassword: { isSecret: true },
  sslrootcert: { variable: 'PGSSLROOTCERT' },
  sslcrl: { variable: 'PGSSLCRL' },
  sslcrldir: { variable: 'PGSSLCRLDIR' },
  sslsni: { variable: 'PGSSLSNI', refuse: only("and the server's name is always sent: leave it out", '1') },
  sslkeylogfile: { refuse: never('and keys of TLS are never written to a file: leave it out') },
  ssl_min_protocol_version: { variable: 'PGSSLMINPROTOCOLVERSION', refuse: oneOf(...TLS_VERSIONS) },
  ssl_max_protocol_version: { variable: 'PGSSLMAXPROTOCOLVERSION', refuse: oneOf(...TLS_VERSIONS) },
  min_protocol_version: {
    variable: 'PGMINPROTOCOLVERSION',
    refuse: only('and Rowhouse speaks version 3.0 of the protocol', '3.0'),
  },
  max_protocol_version: {
    variable: 'PGMAXPROTOCOLVERSION',
    refuse: oneOf('3.0', '3.2', 'latest'),
  },
  requirepeer: {
    variable: 'PGREQUIREPEER',
    refuse: never("and who runs the server behind a socket is not known here: check the socket's directory"),
  },
  require_auth: { variable: 'PGREQUIREAUTH', refuse: refuseAuthMethods },
  channel_binding: { variable: 'PGCHANNELBINDING', refuse: oneOf('disable', 'prefer', 'require') },
  gssencmode: { variable: 'PGGSSENCMODE', refuse: only(NO_GSS, 'disable', 'prefer') },
  krbsrvname: { variable: 'PGKRBSRVNAME', refuse: never(NO_GSS) },
  gsslib: { variable: 'PGGSSLIB', refuse: never(NO_GSS) },
  gssdelegation: { variable: 'PGGSSDELEGATION', refuse: only(NO_GSS, '0') },
  replication: {
    refuse: only('and Rowhouse needs an ordinary connection: leave it out', 'false', 'off', 'no', '0'),
  },
  service: {
    variable: 'PGSERVICE',
    refuse: never('and pg_service.conf is not read: write what it says into the URL'),
  },
  servicefile: {
    refuse: never('and pg_service.conf is not read: write what it says into the URL'),
  },
  target_session_attrs: { variable: 'PGTARGETSESSIONATTRS', refuse: oneOf(...SESSION_KINDS) },
  load_balance_hosts: { variable: 'PGLOADBALANCEHOSTS', refuse: oneOf('disable', 'random') },
  scram_client_key: { isSecret: true, refuse: never('which is not taken: write the password') },
  scram_server_key: { isSecret: true, refuse: never('which is not taken: write the password') },
  oauth_issuer: { refuse: never(NO_OAUTH) },
  oauth_client_id: { refuse: never(NO_OAUTH) },
  oauth_client_secret: { isSecret: true, refuse: never(NO_OAUTH) },
  oauth_scope: { refuse: never(NO_OAUTH) },
}

/** Ours, and what other programs write into URLs that they share with us; no server hears of them. */
const OTHERS: Readonly<Record<string, Parameter>> = {
  pgbouncer: { refuse: oneOf('true', 'false') },
  ssl: { refuse: oneOf('true') },
  connection_limit: { refuse: anything },
  pool_timeout: { refuse: anything },
  socket_timeout: { refuse: anything },
  statement_cache_size: { refuse: anything },
  schema: { refuse: only('and the schemas are always app and auth: leave it out', 'public') },
  supa: { refuse: anything },
  uselibpqcompat: { refuse: only("and libpq's meaning is the only one: leave it out", 'true') },
}

/** Variables of libpq's that stand for no parameter, and would change what a session reads. */
const SESSION_VARIABLES = ['PGDATESTYLE', 'PGTZ', 'PGGEQO'] as const

/**
 * What is wrong with the parameters of a URL, in words that follow the name of what holds it; null if nothing
 * is.
 */
export function checkParams(params: ReadonlyMap<string, string>): string | null {
  for (const [name, value] of params) {
    const parameter = PARAMETERS[name] ?? OTHERS[name]
    if (!parameter) return `has the parameter "${name}", which libpq does not know`
    const problem = parameter.refuse?.(value) ?? null
    if (problem) return `has the ${name} "${parameter.isSecret ? '***' : value}", ${problem}`
  }
  const mode = sslMode(params)
  if (params.get('sslnegotiation') === 'direct' && !TLS_MODES.includes(mode)) {
    return `has sslnegotiation=direct with sslmode=${mode}; it needs sslmode=require or a stricter one`
  }
  if (params.get('channel_binding') === 'require' && mode === 'disable') {
    return 'has channel_binding=require with sslmode=disable; it needs TLS'
  }
  if (params.get('sslrootcert') === 'system' && params.has('sslmode') && mode !== 'verify-full') {
    return `has sslrootcert=system with sslmode=${mode}; it needs sslmode=verify-full`
  }
  const [oldest, newest] = ['ssl_min_protocol_version', 'ssl_max_protocol_version'].map(name =>
    TLS_VERSIONS.indexOf(params.get(name) ?? ''),
  )
  if (newest !== undefined && newest >= 0 && newest < (oldest === -1 ? 2 : (oldest ?? 0))) {
    return 'has an ssl_max_protocol_version below its ssl_min_protocol_version (TLSv1.2 unless named)'
  }
  return null
}

/** What `sslmode` says, or stands for where it is left out. */
export function sslMode(params: ReadonlyMap<string, string>): string {
  const named = params.get('sslmode')
  if (named !== undefined) return named
  if (params.get('sslrootcert') === 'system') return 'verify-full'
  return params.get('ssl') === 'true' ? 'require' : 'prefer'
}

export interface EnvironmentDefaults {
  readonly defaults: ReadonlyMap<string, string>
  /** Variables that are refused, each with what is wrong in words that follow its name. */
  readonly problems: readonly (readonly [variable: string, problem: string])[]
}

/** What libpq's environment variables say; `read` returns a variable's text. */
export function readConnectionDefaults(read: (name: string) => string | undefined): EnvironmentDefaults {
  const defaults = new Map<string, string>()
  const problems: [string, string][] = []
  for (const [name, { variable, refuse, isSecret }] of Object.entries(PARAMETERS)) {
    const value = variable && read(variable)
    if (!variable || value === undefined) continue
    const problem = refuse?.(value) ?? null
    if (problem) problems.push([variable, `is ${isSecret ? '***' : `"${value}"`}, ${problem}`])
    else defaults.set(name, value)
  }
  const requireSsl = read('PGREQUIRESSL')
  if (requireSsl?.startsWith('1') && !defaults.has('sslmode')) defaults.set('sslmode', 'require')
  for (const variable of SESSION_VARIABLES) {
    if (read(variable) !== undefined) {
      problems.push([variable, 'would change what sessions read and is not taken: unset it for this process'])
    }
  }
  return { defaults, problems }
}

/** The variables that name a server, or a database on one. */
export const PLACE_VARIABLES = ['PGHOST', 'PGHOSTADDR', 'PGSERVICE', 'PGDATABASE'] as const

function refuseAuthMethods(value: string): string | null {
  const methods = value.split(',')
  const names = methods.map(method => method.replace(/^!/, ''))
  const unknown = names.find(name => !AUTH_METHODS.some(method => method === name))
  if (unknown !== undefined) return `and "${unknown}" is none of ${listWords(AUTH_METHODS)}`
  const denied = methods.filter(method => method.startsWith('!')).length
  return denied === 0 || denied === methods.length ? null : 'which mixes methods with and without a "!"'
}

export function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
