import { open, type Place, seal, UnreadableValueError } from '#server/crypto/envelope.ts'
import type { Keyring } from '#server/crypto/keyring.ts'
import type { Queryable } from '#server/postgres/migrations/connect.ts'
import type { SealedColumn } from './sealed-columns.ts'

export interface ResealOptions {
  readonly keyring: Keyring
  readonly batchSize: number
  readonly isDryRun: boolean
  readonly signal: AbortSignal
  readonly onBatch: (moved: number) => void
}

/** The result of one pass over a column. */
export interface Pass {
  readonly moved: number
  /** Values that another session changed or locked during the pass: the next pass retries them. */
  readonly missed: number
  readonly unreadable: Unreadable[]
}

export interface Unreadable {
  readonly rowId: string
  /** Null if the value is not an envelope. */
  readonly keyId: string | null
  readonly reason: string
}

interface RowKey {
  readonly owner: string
  readonly id: string
}

interface Row extends RowKey {
  readonly value: string
}

interface ResealedRow extends Row {
  readonly sealed: string
}

const NIL = '00000000-0000-0000-0000-000000000000'
const FIRST: RowKey = { owner: NIL, id: NIL }

/**
 * Re-encrypts with the first key every value of a column that another key holds; one transaction per batch.
 */
export async function resealColumn(
  database: Queryable,
  column: SealedColumn,
  options: ResealOptions,
): Promise<Pass> {
  const pass = { moved: 0, missed: 0, unreadable: [] as Unreadable[] }
  let after = FIRST
  while (!options.signal.aborted) {
    const rows = await readBatch(database, column, { after, isOfFirstKey: false, ...options })
    const last = rows.at(-1)
    if (!last) break
    after = last
    const resealed = rows.flatMap(row => {
      const result = reseal(row, column, options.keyring)
      if ('sealed' in result) return [result]
      pass.unreadable.push(result)
      return []
    })
    const moved = options.isDryRun ? resealed.length : await replace(database, column, resealed)
    pass.moved += moved
    pass.missed += resealed.length - moved
    options.onBatch(moved)
  }
  return pass
}

/** Decrypts every value of a column that the first key already holds; returns those that do not decrypt. */
export async function verifyColumn(
  database: Queryable,
  column: SealedColumn,
  options: Pick<ResealOptions, 'keyring' | 'batchSize' | 'signal'>,
): Promise<Unreadable[]> {
  const unreadable: Unreadable[] = []
  let after = FIRST
  while (!options.signal.aborted) {
    const rows = await readBatch(database, column, { after, isOfFirstKey: true, ...options })
    const last = rows.at(-1)
    if (!last) break
    after = last
    for (const row of rows) {
      const opened = openRow(row, column, options.keyring)
      if (typeof opened !== 'string') unreadable.push(opened)
    }
  }
  return unreadable
}

interface BatchRequest {
  readonly after: RowKey
  readonly isOfFirstKey: boolean
  readonly keyring: Keyring
  readonly batchSize: number
}

async function readBatch(
  database: Queryable,
  { tableSql, columnSql, ownerColumn }: SealedColumn,
  { after, isOfFirstKey, keyring, batchSize }: BatchRequest,
): Promise<Row[]> {
  const { rows } = await database.query(
    `select ${ownerColumn} as owner, id, ${columnSql} as value from ${tableSql}
     where ${columnSql} is not null and starts_with(${columnSql}, $1) = $5
       and (${ownerColumn}, id) > ($2::uuid, $3::uuid)
     order by ${ownerColumn}, id
     limit $4`,
    [`rh1.${keyring.currentKeyId}.`, after.owner, after.id, batchSize, isOfFirstKey],
  )
  return rows as unknown as Row[]
}

function reseal(row: Row, column: SealedColumn, keyring: Keyring): ResealedRow | Unreadable {
  const opened = openRow(row, column, keyring)
  return typeof opened === 'string' ? { ...row, sealed: seal(keyring, opened, placeOf(row, column)) } : opened
}

function openRow(row: Row, column: SealedColumn, keyring: Keyring): string | Unreadable {
  try {
    return open(keyring, row.value, placeOf(row, column))
  } catch (error) {
    if (!(error instanceof UnreadableValueError)) throw error
    return { rowId: row.id, keyId: error.keyId, reason: error.kind }
  }
}

function placeOf({ owner, id }: RowKey, { table, column }: SealedColumn): Place {
  return { table, column, ownerId: owner, rowId: id }
}

/**
 * Replaces the values that have not changed since they were read; skips locked rows. Returns the number
 * replaced.
 */
async function replace(
  database: Queryable,
  { tableSql, columnSql, ownerColumn }: SealedColumn,
  rows: readonly ResealedRow[],
): Promise<number> {
  const { rows: replaced } = await database.query(
    `with new as (
       select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as n (owner, id, old, sealed)
     ), free as materialized (
       select t.${ownerColumn} as owner, t.id
       from ${tableSql} t
       join new n on t.${ownerColumn} = n.owner and t.id = n.id and t.${columnSql} = n.old
       for no key update of t skip locked
     )
     update ${tableSql} t set ${columnSql} = n.sealed
     from new n
     join free f on f.owner = n.owner and f.id = n.id
     where t.${ownerColumn} = n.owner and t.id = n.id and t.${columnSql} = n.old
     returning t.id`,
    [
      rows.map(row => row.owner),
      rows.map(row => row.id),
      rows.map(row => row.value),
      rows.map(row => row.sealed),
    ],
  )
  return replaced.length
}

/** Counts the values of a column by key; values that are not envelopes count under the empty id. */
export async function countByKey(
  database: Queryable,
  { tableSql, columnSql }: SealedColumn,
): Promise<Map<string, number>> {
  const { rows } = await database.query(
    `select case when ${columnSql} ~ '^rh1\\.[A-Za-z0-9_-]+\\.' then split_part(${columnSql}, '.', 2) else '' end as key,
       count(*)::int as count
     from ${tableSql}
     where ${columnSql} is not null
     group by 1`,
  )
  return new Map(rows.map(row => [String(row.key), Number(row.count)]))
}
