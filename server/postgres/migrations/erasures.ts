import { connectOwner } from './connect.ts'

/** A removal whose rows are not all deleted yet. */
interface OpenErasure {
  id: string
  parent: string
  key: Record<string, string>
  step: string | null
  rows: number
  createdAt: Date
  failures: number
  lastError: string | null
}

export interface ErasureStatus {
  open: OpenErasure[]
  /** Removals of the last thirty days whose rows are all deleted. */
  finished: number
}

/** Reads the progress of removals; returns nothing if the database is older than this feature. */
export async function readErasures(url: string): Promise<ErasureStatus> {
  const client = await connectOwner(url, 'db-status')
  try {
    const { rows: known } = await client.query("select to_regclass('app.erasures') is not null as is_known")
    if (!known[0]?.is_known) return { open: [], finished: 0 }
    const { rows: open } = await client.query<OpenErasure>(`
      select
        id, parent, key, step, row_count::float8 as rows, created_at as "createdAt",
        failure_count as failures, last_error as "lastError"
      from app.erasures
      where finished_at is null
      order by created_at
      limit 20
    `)
    const { rows: counts } = await client.query<{ finished: number }>(
      'select count(*)::int as finished from app.erasures where finished_at is not null',
    )
    return { open, finished: counts[0]?.finished ?? 0 }
  } finally {
    await client.end()
  }
}

export function erasureLines({ open, finished }: ErasureStatus): string[] {
  return [
    `erasures  ${open.length} in progress, ${finished} finished in the last 30 days`,
    ...open.map(({ parent, key, step, rows, createdAt, lastError }) => {
      const names = Object.values(key).join(' ')
      const failure = lastError === null ? '' : `; last error: ${lastError}`
      return `          ${parent} ${names}: ${rows} rows since ${createdAt.toISOString()}, at ${step ?? 'its beginning'}${failure}`
    }),
  ]
}
