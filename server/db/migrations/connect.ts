import { Client } from 'pg'
import { asPostgresFailure, MigrationError, withoutPasswords } from './errors.ts'

/** What the readers of this folder need of a connection: a `pg` client or pool will do. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** Opens one connection for migrations; what can go wrong is explained without the password. */
export async function connectOwner(url: string, applicationName = 'kysely-migrate'): Promise<Client> {
  const target = readUrl(url)
  const client = new Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  })
  // A connection that is lost between two statements is reported by the next statement.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    await client.end().catch(() => undefined)
    throw explainConnectionFailure(error, target)
  }
  return client
}

/** Checks that a URL names everything a connection needs; the message says which part is missing. */
export function readUrl(url: string): URL {
  const bad = (message: string) =>
    new MigrationError(
      'bad_url',
      `the database URL ${message}; it looks like postgres://user:password@host:5432/database`,
    )
  if (!/^postgres(ql)?:\/\//.test(url)) throw bad('does not start with postgres:// or postgresql://')
  if (!URL.canParse(url)) throw bad('can not be read (a special character in the password is written as %40)')
  const parsed = new URL(url)
  if (parsed.searchParams.get('pgbouncer') === 'true') {
    throw new MigrationError(
      'pooler',
      'the database URL goes through a pooler (pgbouncer=true), and migrations need a connection of their own: set DIRECT_URL',
    )
  }
  const host = parsed.hostname || parsed.searchParams.get('host')
  const missing = [
    parsed.username === '' && 'user',
    !host && 'host',
    parsed.pathname.length < 2 && 'database',
  ].filter(part => part !== false)
  if (missing.length > 0) throw bad(`names no ${missing.join(', no ')}`)
  return parsed
}

/** The server as messages name it: never with a password. */
export function serverName(target: URL): string {
  return `${target.hostname || target.searchParams.get('host')}:${target.port || '5432'}`
}

function explainConnectionFailure(error: unknown, target: URL): MigrationError {
  const server = serverName(target)
  const user = decodeURIComponent(target.username)
  const database = decodeURIComponent(target.pathname.slice(1))
  const explain = (code: string, message: string) => new MigrationError(code, message, { cause: error })
  const reason = error instanceof Error ? firstMessage(error) : String(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const postgres = asPostgresFailure(error)
  if (postgres) {
    const known: Record<string, [string, string]> = {
      '28P01': ['wrong_password', `${server} refused the password of user "${user}"`],
      '28000': ['not_allowed', `${server} does not let user "${user}" in: ${postgres.message}`],
      '3D000': ['no_database', `${server} has no database "${database}"`],
      '42501': ['no_permission', `user "${user}" may not connect to database "${database}" on ${server}`],
      '53300': ['too_many_connections', `${server} has no connection left for user "${user}"`],
      '57P03': ['unreachable', `${server} does not accept connections yet: ${postgres.message}`],
    }
    const [word, message] = known[postgres.code] ?? ['connection', `${server}: ${postgres.message}`]
    return explain(word, message)
  }
  if (reason.includes('password must be a string')) {
    return explain('wrong_password', `${server} wants a password of user "${user}", and the URL has none`)
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return explain('unreachable', `the host "${target.hostname}" is not known (${code})`)
  }
  if (code === 'ECONNREFUSED') {
    return explain('unreachable', `no Postgres answers at ${server} (connection refused): is it running?`)
  }
  if (code === 'ETIMEDOUT' || /timeout/i.test(reason)) {
    return explain('unreachable', `${server} does not answer (gave up after 10 s)`)
  }
  return explain('unreachable', `can not connect to ${server}: ${withoutPasswords(reason)}`)
}

/** Node reports a host with several addresses as an aggregate without a message of its own. */
function firstMessage(error: Error): string {
  const inner = error instanceof AggregateError ? error.errors[0] : undefined
  return inner instanceof Error ? inner.message : error.message
}
