import { readFileSync } from 'node:fs'
import { Client, type ClientConfig } from 'pg'

/** The parts of a Postgres URL, decoded. */
export interface ConnectionParts {
  readonly user: string
  readonly password: string | null
  readonly host: string
  readonly port: number
  readonly database: string
  readonly params: ReadonlyMap<string, string>
}

/** A connection URL that can't be used; the message never holds its password. */
export class ConnectionUrlError extends Error {
  override readonly name = 'ConnectionUrlError'
}

export const CONNECTION_URL_EXAMPLE = 'postgres://user:password@host:5432/database'

// Not WHATWG's parser: it can't tell which part is missing, and it reads a `#` or `/` in a password as
// the end of the authority. Here a password ends at the last `@` that leaves a well-formed rest.
const SHAPE =
  /^(?:(?<protocol>[a-z][\w+.-]*):\/\/)?(?:(?<user>[^:@/?#]*)(?::(?<password>.*?))?@)?(?<host>\[[^\]]*\]|[^:/?#@]*)(?::(?<port>[^/?#]*))?(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/i

const TLS_MODES: readonly string[] = ['require', 'no-verify', 'verify-ca', 'verify-full']
const SSL_MODES: readonly string[] = ['disable', 'allow', 'prefer', ...TLS_MODES]

/** Reads a URL that names protocol, user, host, port and database; throws ConnectionUrlError that says which is missing. */
export function parseConnectionUrl(url: string): ConnectionParts {
  const groups = SHAPE.exec(url.trim())?.groups
  if (!groups) {
    throw new ConnectionUrlError(
      'cannot be read as a Postgres URL; write characters such as @ : / ? # % in the password percent-encoded',
    )
  }
  const { protocol, user, password, host, port, database, query } = groups
  const missing = Object.entries({ protocol, user, host, port, database })
    .filter(([, value]) => !value)
    .map(([part]) => part)
  if (missing.length > 0) {
    throw new ConnectionUrlError(`names no ${listWords(missing)} in "${maskUrl(url)}"`)
  }
  if (!/^postgres(ql)?$/i.test(protocol ?? '')) {
    throw new ConnectionUrlError(`has the protocol "${protocol}" instead of postgres or postgresql`)
  }
  const portNumber = /^\d{1,5}$/.test(port ?? '') ? Number(port) : 0
  if (portNumber < 1 || portNumber > 65535) {
    throw new ConnectionUrlError(`has no port from 1 to 65535 in "${maskUrl(url)}"`)
  }
  return {
    user: decode(user ?? '', 'user'),
    password: password === undefined ? null : decode(password, 'password'),
    host: decode((host ?? '').replace(/^\[(.*)\]$/, '$1'), 'host'),
    port: portNumber,
    database: decode(database ?? '', 'database'),
    params: readParams(query ?? ''),
  }
}

/** Taken for no mode at all, a slip of the pen would send everything in plain text. */
function readParams(query: string): Map<string, string> {
  const params = new Map(new URLSearchParams(query))
  const mode = params.get('sslmode')
  if (mode !== undefined && !SSL_MODES.includes(mode)) {
    throw new ConnectionUrlError(`has the sslmode "${mode}", which is none of ${listWords(SSL_MODES)}`)
  }
  const ssl = params.get('ssl')
  if (mode !== undefined) params.delete('ssl')
  else if (ssl !== undefined && ssl !== 'true') {
    const meant = ssl === 'false' ? 'disable' : 'require, or another mode'
    throw new ConnectionUrlError(`has ssl=${ssl}; write sslmode=${meant}`)
  }
  return params
}

/** Writes the parts back as a URL that every client reads alike. */
export function formatConnectionUrl(parts: ConnectionParts): string {
  const password = parts.password === null ? '' : `:${encodeURIComponent(parts.password)}`
  const host = parts.host.includes(':') ? `[${parts.host}]` : encodeURIComponent(parts.host)
  const query = parts.params.size > 0 ? `?${new URLSearchParams([...parts.params])}` : ''
  const user = encodeURIComponent(parts.user)
  return `postgres://${user}${password}@${host}:${parts.port}/${encodeURIComponent(parts.database)}${query}`
}

/**
 * The URL with its password replaced by `***`, for messages and logs. It masks too much rather than too little:
 * a URL that names no host may hold its password where the port would be.
 */
export function maskUrl(url: string): string {
  const [scheme = ''] = /^([a-z][\w+.-]*:)?\/\//i.exec(url.trim()) ?? []
  const rest = url
    .trim()
    .slice(scheme.length)
    .replace(/^([^:@/?#]*):.*@/s, '$1:***@')
    .replace(/^([^:@/?#]*):(?!\d*([/?]|$))[^@/?]*([/?]|$)/s, '$1:***$3')
    .replace(/([?&](?:ssl)?password=)[^&]*/gi, '$1***')
  return scheme + rest
}

export function withCredentials(url: string, user: string, password: string | null): string {
  return formatConnectionUrl({ ...parseConnectionUrl(url), user, password })
}

export function withDatabase(url: string, database: string): string {
  return formatConnectionUrl({ ...parseConnectionUrl(url), database })
}

/** True when the URL says `?pgbouncer=true`: a pooler that can't keep named statements. */
export function isPgbouncer(url: string): boolean {
  return parseConnectionUrl(url).params.get('pgbouncer') === 'true'
}

/** The URL with TLS made sure of: an unnamed sslmode becomes verify-full, a weaker one throws. */
export function insistOnTls(url: string): string {
  const parts = parseConnectionUrl(url)
  const mode = parts.params.get('sslmode')
  if (mode !== undefined && !TLS_MODES.includes(mode)) {
    throw new ConnectionUrlError(`asks for sslmode=${mode}, which allows a connection without TLS`)
  }
  return withMode(parts, mode ?? 'verify-full')
}

/** The URL with TLS turned off, for a proxy on this machine. */
export function withoutTls(url: string): string {
  return withMode(parseConnectionUrl(url), 'disable')
}

function withMode(parts: ConnectionParts, mode: string): string {
  const params = new Map(parts.params).set('sslmode', mode)
  params.delete('ssl')
  return formatConnectionUrl({ ...parts, params })
}

/**
 * What `pg` connects with. sslmode means what libpq documents: `require` encrypts without checking the certificate
 * unless sslrootcert names an authority; verify-ca and verify-full check it. Parameters that are ours are left out.
 */
export function toPgConfig(url: string): ClientConfig {
  const { params, password, ...address } = parseConnectionUrl(url)
  const timeoutSeconds = Number(params.get('connect_timeout'))
  const applicationName = params.get('application_name')
  const options = params.get('options')
  return {
    ...address,
    password: password ?? undefined,
    ssl: toTlsOptions(params),
    // Otherwise Node's sockets ask after a silent host every two hours.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...(applicationName ? { application_name: applicationName } : {}),
    ...(options ? { options } : {}),
    ...(timeoutSeconds > 0 ? { connectionTimeoutMillis: timeoutSeconds * 1000 } : {}),
    ...(params.get('channel_binding') === 'require' ? { enableChannelBinding: true } : {}),
  }
}

function toTlsOptions(params: ReadonlyMap<string, string>): ClientConfig['ssl'] {
  // ssl=true is libpq's other word for require; it names no mode where one is insisted on.
  const mode = params.get('sslmode') ?? (params.get('ssl') === 'true' ? 'require' : undefined)
  if (mode === undefined || !TLS_MODES.includes(mode)) return false
  const file = (name: string) => {
    const path = params.get(name)
    return path ? readFileSync(path, 'utf8') : undefined
  }
  const ca = file('sslrootcert')
  const isVerified = mode.startsWith('verify') || (mode === 'require' && ca !== undefined)
  return {
    rejectUnauthorized: isVerified,
    ca,
    cert: file('sslcert'),
    key: file('sslkey'),
    // verify-ca trusts any certificate of the authority, whatever host it names.
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

export type ConnectionTest = { ok: true; version: string; latencyMs: number } | { ok: false; reason: string }

/** Tells whether a URL can be connected to and queried, or in one sentence why not. Never throws. */
export async function testConnection(
  url: string,
  { timeoutMs = 5000 }: { timeoutMs?: number } = {},
): Promise<ConnectionTest> {
  let client: Client | undefined
  try {
    client = new Client({
      ...toPgConfig(url),
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
    })
    client.on('error', () => {})
    await client.connect()
    const startedAt = performance.now()
    const { rows } = await client.query<{ version: string }>(
      `select current_setting('server_version') as version`,
    )
    const latencyMs = Math.round((performance.now() - startedAt) * 10) / 10
    return { ok: true, version: rows[0]?.version ?? 'unknown', latencyMs }
  } catch (error) {
    return { ok: false, reason: explainConnectionError(error, url, timeoutMs) }
  } finally {
    // A server that stopped answering would keep a polite goodbye waiting.
    client?.end().catch(() => {})
  }
}

/** Says in one sentence what stands between us and the database at this URL. */
export function explainConnectionError(error: unknown, url: string, timeoutMs = 0): string {
  if (error instanceof ConnectionUrlError) return `the URL ${error.message}`
  const { user, host, port, database } = parseConnectionUrl(url)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const message = error instanceof Error ? error.message : String(error)
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing is listening on ${host}:${port}`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host "${host}" is not known`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `there is no way to ${host}:${port} from this machine`
    case 'ETIMEDOUT':
      return `${host}:${port} did not answer in time`
    case 'ECONNRESET':
      return `${host}:${port} closed the connection`
    case '28P01':
      return `the password for user "${user}" is wrong, or there is no such user`
    case '3D000':
      return `the server has no database "${database}"`
    case '53300':
      return 'the server has no free connection'
    case '57P03':
      return `the server is not ready: ${message}`
    default:
      if (/timeout/i.test(message)) return `${host}:${port} did not answer within ${timeoutMs} ms`
      if (/password must be a string/.test(message))
        return 'the server asks for a password, and the URL has none'
      if (/does not support SSL/i.test(message)) return `${host}:${port} does not speak TLS`
      return message
  }
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new ConnectionUrlError(`has a stray % in its ${part}; write it as %25`)
  }
}

function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
