import type { ConnectFailure, FailedAttempt } from './connect-failure.ts'
import { ConnectionUrlError, describeHost, hostsOf, parseConnectionUrl } from './connection-url.ts'
import { PostgresClient, toPgConfig } from './postgres-client.ts'

export type ConnectionTest = { ok: true; version: string; latencyMs: number } | { ok: false; reason: string }

/** Connects to a URL and runs a query; returns in one sentence why it failed. Never throws. */
export async function testConnection(
  url: string,
  { timeoutMs = 5000 }: { timeoutMs?: number } = {},
): Promise<ConnectionTest> {
  let client: PostgresClient | undefined
  try {
    client = new PostgresClient({
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
    // Not awaited: a server that stopped answering would block it.
    client?.end().catch(() => {})
  }
}

/** Explains in one sentence why a connection to this URL failed. */
export function explainConnectionError(error: unknown, url: string, timeoutMs = 0): string {
  if (error instanceof ConnectionUrlError) return `the URL ${error.message}`
  const parts = parseConnectionUrl(url)
  const { user, database } = parts
  const hosts = hostsOf(parts)
  const known = error instanceof Error ? (error as ConnectFailure).attempts : undefined
  const attempts = known ?? [{ host: hosts[0], stage: 'connecting', error } as FailedAttempt]
  // Each host may fail for another reason; the attempts with and without TLS often fail for the same one.
  const reasons = attempts.map(attempt => {
    const reason = explainAttempt(attempt, { user, database, timeoutMs })
    return hosts.length > 1 && !reason.includes(describeHost(attempt.host))
      ? `${describeHost(attempt.host)}: ${reason}`
      : reason
  })
  return [...new Set(reasons)].join('; ')
}

interface Wanted {
  readonly user: string
  readonly database: string
  readonly timeoutMs: number
}

function explainAttempt({ host, stage, error }: FailedAttempt, wanted: Wanted): string {
  const { user, database, timeoutMs } = wanted
  const place = describeHost(host)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const message = error instanceof Error ? error.message : String(error)
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing is listening on ${place}`
    case 'ENOENT':
      return `${place} does not exist`
    case 'EACCES':
      return `this process has no permission to use ${place}`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host "${host.host}" can not be resolved`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `${place} is unreachable from this machine`
    case 'ETIMEDOUT':
      return `${place} did not answer in time`
    case 'ECONNRESET':
      return `${place} closed the connection`
    case '28P01':
      return `the password for user "${user}" is wrong, or the user does not exist`
    case '3D000':
      return `the server has no database "${database}"`
    case '53300':
      return 'the server has reached its connection limit'
    case '57P03':
      return `the server is not ready: ${message}`
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${place} names another host: ${message}`
    case 'CERT_HAS_EXPIRED':
      return `the certificate of ${place} has expired`
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `the certificate of ${place} is not trusted: set sslrootcert to the file of its authority (${message})`
    default:
      if (/timeout/i.test(message)) {
        return stage === 'logging in'
          ? `${place} accepted the connection but did not answer the login within ${timeoutMs} ms; if it is a pooler, ${poolerHint(database)}`
          : `${place} did not answer within ${timeoutMs} ms`
      }
      // Messages of PgBouncer.
      if (/server login has been failing|server_login_retry|query_wait_timeout/.test(message)) {
        return `the pooler at ${place} can't log in to Postgres (${message}); ${poolerHint(database)}`
      }
      if (/password must be a (non-empty )?string/.test(message))
        return 'the server asks for a password, but the URL has none'
      if (/does not support SSL/i.test(message)) return `${place} does not support TLS`
      if (/terminated unexpectedly/.test(message)) return `${place} closed the connection`
      return message
  }
}

function poolerHint(database: string): string {
  return `see its log: its auth_user may lack the right to connect to the database "${database}"`
}
