/**
 * libpq's parameters (PostgreSQL 18), their allowed values, and the environment variables that set their
 * defaults. A parameter works as
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS says, or is refused by name.
 */
interface Parameter {
  readonly variable?: string
  /**
   * Returns the rest of a sentence that starts with the value and says what is wrong with it; null for a
   * valid value.
   */
  readonly refuse?: (value: string) => string | null
  readonly isSecret?: boolean
}

const oneOf =
  (...values: readonly string[]) =>
  (value: string) =>
    values.includes(value) ? null : `which is not one of ${listWords(values)}`

const wholeNumber = (value: string) =>
  /^\s*[+-]?\d{1,9}\s*$/.test(value) ? null : 'which is not a whole number'

/** Refuses every value except those that equal our behaviour. */
const only =
  (reason: string, ...harmless: readonly string[]) =>
  (value: string) =>
    harmless.includes(value) ? null : reason

const anything = () => null
const never = (reason: string) => only(reason)

const NO_GSS = 'but Rowhouse does not support GSSAPI: log in with a password or a certificate'
const NO_OAUTH = 'but Rowhouse does not support OAuth to Postgres: log in with a password or a certificate'
const NO_SOCKET_OPTION =
  'which Node can not set: remove it, and set tcp_keepalives_… or tcp_user_timeout on the server or its roles'

/** The modes that never connect without TLS; no-verify is node-postgres's name for libpq's require. */
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

/** The authentication methods that require_auth may name; a `!` in front forbids one. */
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
    refuse: value => (UTF_8.test(value) ? null : 'but Rowhouse supports only UTF8'),
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
    refuse: only('but TLS compression is not supported: remove the parameter', '0'),
  },
  sslcert: { variable: 'PGSSLCERT' },
  sslkey: {
    variable: 'PGSSLKEY',
    refuse: value =>
      /^[a-z]\w+:/i.test(value) ? 'which names an engine: set it to the path of the key file' : null,
  },
  sslcertmode: {
    variable: 'PGSSLCERTMODE',
    refuse: value =>
      value === 'require'
        ? 'but Node does not report whether a server asked for a certificate: require certificates in its pg_hba.conf'
        : oneOf('allow', 'disable')(value),
  },
  sslpassword: { isSecret: true },
  sslrootcert: { variable: 'PGSSLROOTCERT' },
  sslcrl: { variable: 'PGSSLCRL' },
  sslcrldir: { variable: 'PGSSLCRLDIR' },
  sslsni: {
    variable: 'PGSSLSNI',
    refuse: only("but the server's name is always sent: remove the parameter", '1'),
  },
  sslkeylogfile: { refuse: never('but TLS keys are never written to a file: remove the parameter') },
  ssl_min_protocol_version: { variable: 'PGSSLMINPROTOCOLVERSION', refuse: oneOf(...TLS_VERSIONS) },
  ssl_max_protocol_version: { variable: 'PGSSLMAXPROTOCOLVERSION', refuse: oneOf(...TLS_VERSIONS) },
  min_protocol_version: {
    variable: 'PGMINPROTOCOLVERSION',
    refuse: only('but Rowhouse supports only protocol version 3.0', '3.0'),
  },
  max_protocol_version: {
    variable: 'PGMAXPROTOCOLVERSION',
    refuse: oneOf('3.0', '3.2', 'latest'),
  },
  requirepeer: {
    variable: 'PGREQUIREPEER',
    refuse: never(
      "but Node does not report the owner of a socket's server: restrict access to the socket's directory",
    ),
  },
  require_auth: { variable: 'PGREQUIREAUTH', refuse: refuseAuthMethods },
  channel_binding: { variable: 'PGCHANNELBINDING', refuse: oneOf('disable', 'prefer', 'require') },
  gssencmode: { variable: 'PGGSSENCMODE', refuse: only(NO_GSS, 'disable', 'prefer') },
  krbsrvname: { variable: 'PGKRBSRVNAME', refuse: never(NO_GSS) },
  gsslib: { variable: 'PGGSSLIB', refuse: never(NO_GSS) },
  gssdelegation: { variable: 'PGGSSDELEGATION', refuse: only(NO_GSS, '0') },
  replication: {
    refuse: only(
      'but Rowhouse needs an ordinary connection: remove the parameter',
      'false',
      'off',
      'no',
      '0',
    ),
  },
  service: {
    variable: 'PGSERVICE',
    refuse: never('but pg_service.conf is not read: copy its settings into the URL'),
  },
  servicefile: {
    refuse: never('but pg_service.conf is not read: copy its settings into the URL'),
  },
  target_session_attrs: { variable: 'PGTARGETSESSIONATTRS', refuse: oneOf(...SESSION_KINDS) },
  load_balance_hosts: { variable: 'PGLOADBALANCEHOSTS', refuse: oneOf('disable', 'random') },
  scram_client_key: { isSecret: true, refuse: never('which is not supported: set the password instead') },
  scram_server_key: { isSecret: true, refuse: never('which is not supported: set the password instead') },
  oauth_issuer: { refuse: never(NO_OAUTH) },
  oauth_client_id: { refuse: never(NO_OAUTH) },
  oauth_client_secret: { isSecret: true, refuse: never(NO_OAUTH) },
  oauth_scope: { refuse: never(NO_OAUTH) },
}

/** Our own parameters, and those of other programs that share the URL; none is sent to the server. */
const OTHERS: Readonly<Record<string, Parameter>> = {
  pgbouncer: { refuse: oneOf('true', 'false') },
  ssl: { refuse: oneOf('true') },
  connection_limit: { refuse: anything },
  pool_timeout: { refuse: anything },
  socket_timeout: { refuse: anything },
  statement_cache_size: { refuse: anything },
  schema: { refuse: only('but the schemas are always app and auth: remove the parameter', 'public') },
  supa: { refuse: anything },
  uselibpqcompat: { refuse: only("but only libpq's meaning is supported: remove the parameter", 'true') },
}

/** libpq's variables that set no parameter, and would change the values that a session reads. */
const SESSION_VARIABLES = ['PGDATESTYLE', 'PGTZ', 'PGGEQO'] as const

/**
 * Returns the rest of a sentence that starts with the URL's name and says what is wrong with its parameters;
 * null if nothing is.
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
    return `has sslnegotiation=direct with sslmode=${mode}; set sslmode=require or a stricter mode`
  }
  if (params.get('channel_binding') === 'require' && mode === 'disable') {
    return 'has channel_binding=require with sslmode=disable; set a mode with TLS'
  }
  if (params.get('sslrootcert') === 'system' && params.has('sslmode') && mode !== 'verify-full') {
    return `has sslrootcert=system with sslmode=${mode}; set sslmode=verify-full`
  }
  const [oldest, newest] = ['ssl_min_protocol_version', 'ssl_max_protocol_version'].map(name =>
    TLS_VERSIONS.indexOf(params.get(name) ?? ''),
  )
  if (newest !== undefined && newest >= 0 && newest < (oldest === -1 ? 2 : (oldest ?? 0))) {
    return 'has an ssl_max_protocol_version below its ssl_min_protocol_version (TLSv1.2 by default)'
  }
  return null
}

/** The value of `sslmode`, or its default. */
export function sslMode(params: ReadonlyMap<string, string>): string {
  const named = params.get('sslmode')
  if (named !== undefined) return named
  if (params.get('sslrootcert') === 'system') return 'verify-full'
  return params.get('ssl') === 'true' ? 'require' : 'prefer'
}

export interface EnvironmentDefaults {
  readonly defaults: ReadonlyMap<string, string>
  /** The refused variables, each with the rest of a sentence that says what is wrong with it. */
  readonly problems: readonly (readonly [variable: string, problem: string])[]
}

/** Reads libpq's environment variables; `read` returns a variable's text. */
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
      problems.push([variable, 'would change the values that sessions read: unset it for this process'])
    }
  }
  return { defaults, problems }
}

/** The variables that name a server or a database. */
export const PLACE_VARIABLES = ['PGHOST', 'PGHOSTADDR', 'PGSERVICE', 'PGDATABASE'] as const

function refuseAuthMethods(value: string): string | null {
  const methods = value.split(',')
  const names = methods.map(method => method.replace(/^!/, ''))
  const unknown = names.find(name => !AUTH_METHODS.some(method => method === name))
  if (unknown !== undefined) return `but "${unknown}" is not one of ${listWords(AUTH_METHODS)}`
  const denied = methods.filter(method => method.startsWith('!')).length
  return denied === 0 || denied === methods.length ? null : 'which mixes methods with and without a "!"'
}

export function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
