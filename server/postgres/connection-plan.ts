import { readdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, getCACertificates, type SecureVersion } from 'node:tls'
import { AUTH_METHODS, type SESSION_KINDS, sslMode } from './connection-params.ts'
import { ConnectionUrlError, type Host, hostsOf, parseConnectionUrl } from './connection-url.ts'
import { passwordFromFile } from './passfile.ts'

export type SessionKind = (typeof SESSION_KINDS)[number]
export type AuthMethod = (typeof AUTH_METHODS)[number]

/** Node's default sends the first keepalive after two hours. */
const KEEPALIVE_IDLE_SECONDS = 10

/** One attempt: a host, and the TLS options to connect with. */
export interface Attempt {
  readonly host: Host
  /** Null for a connection without TLS. */
  readonly tls: ConnectionOptions | null
  /** True to continue without TLS on the same connection if the server does not support TLS. */
  readonly mayStayPlain: boolean
}

/** How to connect to the server that a URL names. */
export interface ConnectionPlan {
  readonly user: string
  readonly database: string
  /** Null if it must be looked up for each host in libpq's password file. */
  readonly password: string | null
  readonly passwordFor: (host: Host) => string | null
  /** Returns the attempts in order; shuffled on each call if load_balance_hosts=random. */
  readonly order: () => readonly Attempt[]
  readonly sessionKind: SessionKind
  readonly isDirectTls: boolean
  readonly allowedAuth: ReadonlySet<AuthMethod>
  readonly channelBinding: 'disable' | 'prefer' | 'require'
  /** Null if the URL sets none. */
  readonly timeoutMs: number | null
  readonly keepAlive: boolean
  readonly keepAliveIdleMs: number
  readonly options: string | null
  readonly applicationName: string | null
}

/** Reads the files that the URL names. Throws {@link ConnectionUrlError}. */
export function planConnection(url: string): ConnectionPlan {
  const parts = parseConnectionUrl(url)
  const { user, database, password, params } = parts
  const hosts = hostsOf(parts)
  const seconds = Number(params.get('connect_timeout') ?? 0)
  const attempts = new Map(hosts.map(host => [host, attemptsAt(host, params)]))
  const isBalanced = params.get('load_balance_hosts') === 'random'
  return {
    user,
    database,
    password,
    passwordFor: ({ host, port }) =>
      passwordFromFile({ path: params.get('passfile') ?? null, host, port, database, user }),
    order: () => (isBalanced ? shuffle(hosts) : hosts).flatMap(host => attempts.get(host) ?? []),
    sessionKind: (params.get('target_session_attrs') ?? 'any') as SessionKind,
    isDirectTls: params.get('sslnegotiation') === 'direct',
    allowedAuth: allowedMethods(params.get('require_auth')),
    channelBinding: (params.get('channel_binding') ?? 'disable') as ConnectionPlan['channelBinding'],
    timeoutMs: seconds > 0 ? seconds * 1000 : null,
    keepAlive: Number(params.get('keepalives') ?? 1) !== 0,
    keepAliveIdleMs: Math.max(0, Number(params.get('keepalives_idle') ?? KEEPALIVE_IDLE_SECONDS)) * 1000,
    options: params.get('options') ?? null,
    applicationName: params.get('application_name') ?? params.get('fallback_application_name') ?? null,
  }
}

function attemptsAt(host: Host, params: ReadonlyMap<string, string>): Attempt[] {
  const mode = sslMode(params)
  const plain: Attempt = { host, tls: null, mayStayPlain: false }
  // Like libpq, never encrypts a connection to a socket.
  if (mode === 'disable' || host.host.startsWith('/')) return [plain]
  const tls: Attempt = { host, tls: tlsOptions(host, mode, params), mayStayPlain: mode === 'prefer' }
  if (mode === 'allow') return [plain, tls]
  return mode === 'prefer' ? [tls, plain] : [tls]
}

function tlsOptions(host: Host, mode: string, params: ReadonlyMap<string, string>): ConnectionOptions {
  const ca = rootCertificates(params)
  const isNamed = mode === 'verify-full'
  const isVerified = isNamed || mode === 'verify-ca' || (ca !== undefined && mode !== 'no-verify')
  const certificate = params.get('sslcertmode') === 'disable' ? {} : clientCertificate(params)
  return {
    rejectUnauthorized: isVerified,
    ca,
    crl: revocationLists(params),
    ...certificate,
    minVersion: (params.get('ssl_min_protocol_version') ?? 'TLSv1.2') as SecureVersion,
    maxVersion: (params.get('ssl_max_protocol_version') ?? 'TLSv1.3') as SecureVersion,
    // If the URL has an address beside the host, the certificate must still name the host.
    ...(!host.address ? {} : { host: host.host, servername: host.host }),
    // verify-ca accepts any certificate of the authority, whatever host it names.
    ...(isNamed ? {} : { checkServerIdentity: () => undefined }),
  }
}

/** Undefined for the authorities that Node trusts. */
function rootCertificates(params: ReadonlyMap<string, string>): string | string[] | undefined {
  const path = params.get('sslrootcert')
  if (path === 'system') return [...new Set([...getCACertificates('system'), ...getCACertificates()])]
  return path === undefined ? readDefault('root.crt') : readNamed('sslrootcert', path)
}

function clientCertificate(params: ReadonlyMap<string, string>): ConnectionOptions {
  const [certPath, keyPath] = [params.get('sslcert'), params.get('sslkey')]
  const cert = certPath === undefined ? readDefault('postgresql.crt') : readNamed('sslcert', certPath)
  if (cert === undefined) return {}
  const key = keyPath === undefined ? readDefault('postgresql.key') : readNamed('sslkey', keyPath)
  if (key === undefined) throw new ConnectionUrlError('has an sslcert but no sslkey')
  return { cert, key, passphrase: params.get('sslpassword') }
}

function revocationLists(params: ReadonlyMap<string, string>): string[] | undefined {
  const [file, directory] = [params.get('sslcrl'), params.get('sslcrldir')]
  const lists = file === undefined ? [] : [readNamed('sslcrl', file)]
  if (directory !== undefined) {
    try {
      for (const name of readdirSync(directory)) lists.push(readNamed('sslcrldir', join(directory, name)))
    } catch (error) {
      throw unreadable('sslcrldir', directory, error)
    }
  }
  return lists.length === 0 ? undefined : lists
}

function readNamed(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(parameter, path, error)
  }
}

function unreadable(parameter: string, path: string, error: unknown): ConnectionUrlError {
  if (error instanceof ConnectionUrlError) return error
  const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return new ConnectionUrlError(`has an unreadable file as ${parameter}: ${path} (${reason})`)
}

/** Reads a file from libpq's default place, which applies if no parameter names one. */
function readDefault(name: string): string | undefined {
  const path = join(homedir(), '.postgresql', name)
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readNamed(name, path) : undefined
}

function allowedMethods(text: string | undefined): ReadonlySet<AuthMethod> {
  if (text === undefined) return new Set(AUTH_METHODS)
  const names = text.split(',')
  const isDenied = names[0]?.startsWith('!') ?? false
  return new Set(
    AUTH_METHODS.filter(method => (isDenied ? !names.includes(`!${method}`) : names.includes(method))),
  )
}

function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map(item => ({ item, at: Math.random() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item)
}
