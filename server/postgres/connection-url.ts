import { checkParams, listWords, TLS_MODES } from './connection-params.ts'

/** A server's place: a host name, an address, or the directory of a Unix socket. */
export interface Host {
  readonly host: string
  /** The address to connect to; `host` is then not resolved, and only names the certificate. */
  readonly address?: string | null
  readonly port: number
}

/** The decoded parts of a Postgres URL; `host` and `port` are the first host's. */
export interface ConnectionParts extends Host {
  readonly user: string
  readonly password: string | null
  /** Tried in this order if the first host does not answer. */
  readonly otherHosts: readonly Host[]
  readonly database: string
  /** The checked parameters, libpq's and ours, except those that are parts of their own. */
  readonly params: ReadonlyMap<string, string>
}

/** An unusable connection URL; the message never contains its password. */
export class ConnectionUrlError extends Error {
  override readonly name = 'ConnectionUrlError'
}

export const CONNECTION_URL_EXAMPLE = 'postgres://user:password@host:5432/database'
const DEFAULT_PORT = 5432

const PARTS = ['protocol', 'user', 'host', 'database']

// WHATWG's parser does not work here: it can't tell which part is missing, and it ends the authority at a `#`
// or `/` in a password. This pattern ends a password at the first `@` after which the rest is well formed and
// has no `@` outside of parameter values.
const HOST = String.raw`(?:\[[^\]]*\]|[^:/?#@,[\]]*)(?::\d*)?`
const PROTOCOL = String.raw`(?<protocol>[a-z][\w+.-]*):\/\/`
const HOSTS = `(?<hosts>${HOST}(?:,${HOST})*)`
const QUERY = String.raw`(?:\?(?<query>(?:\w+=[^&]*(?:&|$))*))?`
const LOOSE = String.raw`(?<hosts>[^/?@]*)(?:\/(?<database>[^?]*))?(?:\?(?<query>.*))?`
const SHAPES = [
  String.raw`(?:(?<user>[^:@/?#]*)(?::(?<password>.*?))?@)?${HOSTS}\/(?<database>[^?#@]*)${QUERY}`,
  // As in libpq, the first `@` ends the credentials, and the database's name may hold another one.
  `(?<user>[^:@/?#]*)(?::(?<password>[^@/]*))?@${LOOSE}`,
  // Matches the URLs with a missing or wrong part; the error says which.
  `(?:(?<user>[^:@/?#]*)(?::(?<password>.*?))?@)?${HOSTS}${QUERY}`,
  LOOSE,
].map(shape => new RegExp(`^${PROTOCOL}${shape}$`, 'is'))

/** The defaults of the environment, by libpq's names of parameters. */
export type ConnectionDefaults = ReadonlyMap<string, string>

/**
 * Parses a URL with protocol, user, host and database; throws a ConnectionUrlError that names the missing
 * part.
 */
export function parseConnectionUrl(url: string, defaults: ConnectionDefaults = new Map()): ConnectionParts {
  const text = url.trim()
  if (!/^[a-z][\w+.-]*:\/\//i.test(text)) throw missing(text === '' ? PARTS : PARTS.slice(0, 1), url)
  const groups = SHAPES.map(shape => shape.exec(text)?.groups).find(found => found !== undefined)
  if (!groups) {
    throw new ConnectionUrlError(
      `is not a valid Postgres URL: "${maskUrl(url)}"; write @ : / ? # % [ and ] in a user, password or ` +
        'database percent-encoded (@ is %40), and a port in digits',
    )
  }
  const { protocol = '', user = '', password = '', database = '', hosts = '', query = '' } = groups
  if (!/^postgres(ql)?$/i.test(protocol)) {
    throw new ConnectionUrlError(`has the protocol "${protocol}" instead of postgres or postgresql`)
  }
  const given = readQuery(query)
  const named = hosts.split(',').map(splitHost)
  const fromUrl: [string, string][] = [
    ['user', decode(user, 'user')],
    ['password', decode(password, 'password')],
    ['dbname', decode(database, 'database')],
    ['host', named.map(({ host }) => host).join(',')],
    ['port', named.map(({ port }) => port).join(',')],
  ]
  const params = new Map(defaults)
  for (const [name, value] of [...fromUrl, ...given]) {
    // An empty value counts as absent, except for sslmode, where a strict mode may have been intended.
    if (/[^,]/.test(value) || (name === 'sslmode' && value === '')) params.set(name, value)
  }
  const take = (name: string): string => {
    const value = params.get(name) ?? ''
    params.delete(name)
    return value
  }
  const [userName, secret, databaseName, host] = ['user', 'password', 'dbname', 'host'].map(take)
  const [addresses = '', ports = ''] = ['hostaddr', 'port'].map(take)
  const absent = Object.entries({ user: userName, host: host || addresses, database: databaseName })
  const names = absent.filter(([, value]) => !value).map(([part]) => part)
  if (names.length > 0) throw missing(names, url)
  const problem = checkParams(params)
  if (problem) throw new ConnectionUrlError(problem)
  const [first, ...otherHosts] = toHosts(host ?? '', addresses, ports)
  return {
    user: userName ?? '',
    password: secret || null,
    ...first,
    otherHosts,
    database: databaseName ?? '',
    params,
  }
}

function missing(parts: readonly string[], url: string): ConnectionUrlError {
  return new ConnectionUrlError(`names no ${listWords(parts)} in "${maskUrl(url)}"`)
}

// As in libpq, only percent-encoding counts, so a + is a plus sign, and the last value of a repeated
// parameter wins.
function readQuery(query: string): Map<string, string> {
  const params = new Map<string, string>()
  for (const item of query.split('&')) {
    if (item === '') continue
    const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(item) ?? []
    if (value === undefined) throw new ConnectionUrlError('has a parameter without "="')
    params.set(decode(name, 'parameters'), decode(value, `parameter ${name}`))
  }
  const [ssl, requireSsl] = [params.get('ssl'), params.get('requiressl')]
  params.delete('requiressl')
  if (params.has('sslmode')) params.delete('ssl')
  else if (requireSsl !== undefined) params.set('sslmode', requireSsl.startsWith('1') ? 'require' : 'prefer')
  else if (ssl !== undefined && ssl !== 'true') {
    const meant = ssl === 'false' ? 'disable' : 'require, or another mode'
    throw new ConnectionUrlError(`has ssl=${ssl}; write sslmode=${meant}`)
  }
  return params
}

function splitHost(text: string): { host: string; port: string } {
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*):?(.*)$/s.exec(text) ?? []
  return { host: decode(host.replace(/^\[(.*)\]$/s, '$1'), 'host'), port }
}

/** As in libpq, the lists must have the same length; a single port applies to all hosts. */
function toHosts(hosts: string, addresses: string, ports: string): [Host, ...Host[]] {
  const [names, numbers, portTexts] = [hosts.split(','), addresses.split(','), ports.split(',')]
  const count = Math.max(hosts === '' ? 0 : names.length, addresses === '' ? 0 : numbers.length)
  for (const [part, list] of [
    ['host', hosts && names],
    ['hostaddr', addresses && numbers],
    ['port', portTexts.length > 1 && portTexts],
  ] as const) {
    if (list && list.length !== count) {
      throw new ConnectionUrlError(`has ${list.length} entries in its ${part} for ${count} hosts`)
    }
  }
  const toHost = (index: number): Host => {
    const host = names[index] || numbers[index] || ''
    if (host === '') throw new ConnectionUrlError('has an empty entry in its list of hosts')
    if (host.startsWith('@')) {
      throw new ConnectionUrlError(
        'has a socket in the abstract namespace, which is not supported; use a directory or a host',
      )
    }
    return { host, address: numbers[index] || null, port: toPort(portTexts[index] ?? portTexts[0] ?? '') }
  }
  const [, ...others] = Array.from({ length: count }, (_, index) => index)
  return [toHost(0), ...others.map(toHost)]
}

function toPort(text: string): number {
  if (text === '') return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  // The message leaves out the text, which may be part of the password.
  if (port < 1 || port > 65535) throw new ConnectionUrlError('has no port from 1 to 65535 after its host')
  return port
}

/** Formats the parts as a URL that every client parses in the same way. */
export function formatConnectionUrl(parts: ConnectionParts): string {
  const { params } = parts
  const hosts = hostsOf(parts)
  const password = parts.password === null ? '' : `:${encodeURIComponent(parts.password)}`
  const authority = hosts.map(({ host, port }) => `${formatHost(host)}:${port}`).join(',')
  const addresses: [string, string][] = hosts.some(({ address }) => address)
    ? [['hostaddr', hosts.map(({ address }) => address ?? '').join(',')]]
    : []
  const query = [...addresses, ...params].map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  const user = encodeURIComponent(parts.user)
  const path = encodeURIComponent(parts.database)
  return `postgres://${user}${password}@${authority}/${path}${query.length > 0 ? `?${query.join('&')}` : ''}`
}

/** Every host of a URL, in the order of attempts. */
export function hostsOf({ host, address, port, otherHosts }: ConnectionParts): [Host, ...Host[]] {
  return [{ host, address, port }, ...otherHosts]
}

function formatHost(host: string): string {
  return host.includes(':') && !host.startsWith('/')
    ? `[${host.replaceAll('%', '%25')}]`
    : encodeURIComponent(host)
}

/** The name of a host in messages. */
export function describeHost({ host, address, port }: Host): string {
  if (host.startsWith('/')) return `the socket ${socketPath(host, port)}`
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return !address || address === host ? name : `${name} (${address})`
}

export function socketPath(directory: string, port: number): string {
  return `${directory}/.s.PGSQL.${port}`
}

/**
 * The URL with its password replaced by `***`, for messages and logs. It masks too much rather than too
 * little: a URL without a host may have its password in the place of the port.
 */
export function maskUrl(url: string): string {
  const [scheme = ''] = /^([a-z][\w+.-]*:)?\/\//i.exec(url.trim()) ?? []
  const rest = url
    .trim()
    .slice(scheme.length)
    .replace(/^([^:@/?#]*):.*@/s, '$1:***@')
    .replace(/^([^:@/?#]*):(?!\d*([,/?]|$))[^@/?]*([/?]|$)/s, '$1:***$3')
    .replace(/([?&](?:ssl)?password=)[^&]*/gi, '$1***')
  return scheme + rest
}

export function withCredentials(url: string, user: string, password: string | null): string {
  return formatConnectionUrl({ ...parseConnectionUrl(url), user, password })
}

/** The URL with all of its hosts replaced by this one, such as a proxy. */
export function withHost(url: string, host: string, port: number): string {
  return formatConnectionUrl({ ...parseConnectionUrl(url), host, port, address: null, otherHosts: [] })
}

export function withDatabase(url: string, database: string): string {
  return formatConnectionUrl({ ...parseConnectionUrl(url), database })
}

/** True if the URL has `?pgbouncer=true`: a pooler that does not support named statements. */
export function isPgbouncer(url: string): boolean {
  return parseConnectionUrl(url).params.get('pgbouncer') === 'true'
}

/** Requires TLS: a missing sslmode becomes verify-full, a mode that allows plain text throws. */
export function insistOnTls(url: string, defaults?: ConnectionDefaults): string {
  const parts = parseConnectionUrl(url, defaults)
  const mode = parts.params.get('sslmode')
  if (mode !== undefined && !TLS_MODES.includes(mode)) {
    throw new ConnectionUrlError(`asks for sslmode=${mode}, which allows a connection without TLS`)
  }
  return withMode(parts, mode ?? 'verify-full')
}

/** The URL without TLS, for a proxy on this machine. */
export function withoutTls(url: string, defaults?: ConnectionDefaults): string {
  return withMode(parseConnectionUrl(url, defaults), 'disable')
}

function withMode(parts: ConnectionParts, mode: string): string {
  const params = new Map(parts.params).set('sslmode', mode)
  params.delete('ssl')
  return formatConnectionUrl({ ...parts, params })
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ConnectionUrlError(`has an unencoded % in its ${part}; write it as %25`)
  }
}
