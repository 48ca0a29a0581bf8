import type { Client } from 'pg'
import { explainConnectionError } from '../connection-test.ts'
import {
  CONNECTION_URL_EXAMPLE,
  ConnectionUrlError,
  isPgbouncer,
  maskUrl,
  parseConnectionUrl,
} from '../connection-url.ts'
import { PostgresClient, toPgConfig } from '../postgres-client.ts'
import { settleOwnerSession } from '../session-settings.ts'
import { MigrationError } from './errors.ts'

/** The methods of a `pg` client or pool that this folder needs. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

const connectTimeoutMs = 10_000

/** Opens one connection for migrations; the error says why it failed, without the password. */
export async function connectOwner(url: string, applicationName = 'kysely-migrate'): Promise<Client> {
  refuseBadUrl(url)
  const client = new PostgresClient({
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: applicationName,
    ...toPgConfig(url),
  })
  // The next statement reports a connection that is lost between two statements.
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    client.end().catch(() => undefined)
    const { params, password } = parseConnectionUrl(url)
    const waitedMs = Number(params.get('connect_timeout')) * 1000 || connectTimeoutMs
    const reason = /password must be a string/.test(String(error))
      ? `the server asks for a password${password === null ? ', but the URL has none' : ''}`
      : explainConnectionError(error, url, waitedMs)
    throw new MigrationError(codeOf(error), `can not connect to ${maskUrl(url)}: ${reason}`, { cause: error })
  }
  await settleOwnerSession(client)
  return client
}

/** Throws for an unusable URL, before anything is connected. */
export function refuseBadUrl(url: string): void {
  try {
    if (!isPgbouncer(url)) return
  } catch (cause) {
    if (!(cause instanceof ConnectionUrlError)) throw cause
    throw new MigrationError(
      'bad_url',
      `the database URL ${cause.message}; it looks like ${CONNECTION_URL_EXAMPLE}`,
      { cause },
    )
  }
  throw new MigrationError(
    'pooler',
    `${maskUrl(url)} goes through a pooler, but migrations need a direct connection: set DIRECT_URL`,
  )
}

/** The stable code of a connection error. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === '28P01' || /password must be a string/.test(String(error))) return 'wrong_password'
  if (code === '28000' || code === '42501') return 'no_permission'
  if (code === '3D000') return 'no_database'
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('57P') ? 'connection_refused' : 'unreachable'
}
