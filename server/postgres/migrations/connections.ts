import { connectOwner } from './connect.ts'

export interface ServerStatus {
  version: string
  /** The median of five round trips. */
  latencyMs: number
  maxConnections: number
  connections: RoleConnections[]
}

interface RoleConnections {
  role: string
  active: number
  idle: number
}

/** Reads the server's version, and the connections to this database. */
export async function readServerStatus(url: string): Promise<ServerStatus> {
  const client = await connectOwner(url, 'db-status')
  try {
    const times: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const startedAt = performance.now()
      await client.query('select 1')
      times.push(performance.now() - startedAt)
    }
    const { rows: settings } = await client.query<{ version: string; max_connections: number }>(
      "select current_setting('server_version') as version, current_setting('max_connections')::int as max_connections",
    )
    const { rows: connections } = await client.query<RoleConnections>(`
      select
        usename::text as role,
        count(*) filter (where state is distinct from 'idle')::int as active,
        count(*) filter (where state = 'idle')::int as idle
      from pg_catalog.pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and usename is not null
      group by usename
      order by usename
    `)
    return {
      version: settings[0]?.version ?? '',
      latencyMs: Math.round((times.sort((left, right) => left - right)[2] ?? 0) * 100) / 100,
      maxConnections: settings[0]?.max_connections ?? 0,
      connections,
    }
  } finally {
    await client.end()
  }
}
