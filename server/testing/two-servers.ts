import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseConnectionUrl, withCredentials } from '#server/postgres/connection-url.ts'
import { startEmbeddedPostgres } from '#server/postgres/embedded/postgres.ts'
import { PostgresClient, toPgConfig } from '#server/postgres/postgres-client.ts'
import { throwawayDirectory } from './throwaway-directory.ts'

/** Two servers whose superusers have the same password: one with TLS, and one without, which is read-only. */
export interface TwoServers {
  readonly secureUrl: string
  readonly readOnlyUrl: string
  readonly securePort: number
  readonly readOnlyPort: number
  readonly password: string
  /** The file of the first server's self-signed certificate, for the host db.test. */
  readonly certificate: string
  close(): Promise<void>
}

/** Besides the superuser: logins allowed only with TLS, only without it, by md5, and without a password. */
const HBA = `
hostssl all encrypted all scram-sha-256
hostnossl all encrypted all reject
hostnossl all unencrypted all scram-sha-256
hostssl all unencrypted all reject
host all weak all md5
host all anybody all trust
host all all all scram-sha-256
`

const CERTIFICATE_REQUEST =
  'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=db.test -addext subjectAltName=DNS:db.test'

export async function openTwoServers(): Promise<TwoServers> {
  const [one, two] = [throwawayDirectory('secure'), throwawayDirectory('read-only')]
  const [secure, readOnly] = await Promise.all(
    [one, two].map(dataDir => startEmbeddedPostgres({ dataDir, isDurable: false })),
  )
  if (!secure || !readOnly) throw new Error('both servers were started')
  const data = join(one, 'postgres', 'data')
  const [keyFile, certificate] = [join(data, 'server.key'), join(one, 'server.crt')]
  const files = ['-keyout', keyFile, '-out', certificate]
  execFileSync('openssl', [...CERTIFICATE_REQUEST.split(' '), ...files], { stdio: 'pipe' })
  chmodSync(certificate, 0o644)
  chmodSync(keyFile, 0o600)
  const { uid, gid } = statSync(data)
  chownSync(keyFile, uid, gid)
  writeFileSync(join(data, 'pg_hba.conf'), HBA)
  await query(
    secure.url,
    `create role encrypted login password 'x'`,
    `create role unencrypted login password 'x'`,
    'create role anybody login',
    `set password_encryption = 'md5'`,
    `create role weak login password 'x'`,
    `alter system set ssl_cert_file = '${certificate}'`,
    'alter system set ssl = on',
    'select pg_reload_conf()',
  )
  const { password } = parseConnectionUrl(secure.url)
  await query(
    readOnly.url,
    `alter role postgres password '${password}'`,
    'alter system set default_transaction_read_only = on',
    'select pg_reload_conf()',
  )
  const readOnlyUrl = withCredentials(readOnly.url, 'postgres', password)
  await untilReloaded(`${secure.url}?sslmode=require`, 'ssl')
  await untilReloaded(readOnlyUrl, 'default_transaction_read_only')
  return {
    secureUrl: secure.url,
    readOnlyUrl,
    securePort: parseConnectionUrl(secure.url).port,
    readOnlyPort: parseConnectionUrl(readOnlyUrl).port,
    password: password ?? '',
    certificate,
    async close() {
      await Promise.all([secure.stop(), readOnly.stop()])
      for (const directory of [one, two]) rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Runs statements on a new connection; returns the rows of the last one. */
export async function query(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new PostgresClient(toPgConfig(url))
  client.on('error', () => {})
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

async function untilReloaded(url: string, setting: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const [row] = await query(url, `show ${setting}`).catch(() => [])
    if (row?.[setting] === 'on') return
    if (attempt === 100) throw new Error(`${setting} was not turned on`)
    await sleep(100)
  }
}
