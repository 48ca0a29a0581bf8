import { ACCOUNTS_TABLE, TOKEN_COLUMNS } from '#server/auth/account-tokens.ts'
import type { Queryable } from '#server/postgres/migrations/connect.ts'
import { MigrationError } from '#server/postgres/migrations/errors.ts'

/** A column with one encrypted value per row. */
export interface SealedColumn {
  /** The names that an envelope's additional data holds. */
  readonly table: string
  readonly column: string
  /** The quoted names. */
  readonly tableSql: string
  readonly columnSql: string
  /** The owner's column; the row's own is `id`. */
  readonly ownerColumn: string
}

const CHECKS_TABLE = 'app.keyring_checks'

const ENVELOPE_COLUMNS = `
  select n.nspname || '.' || c.relname as table, a.attname as column,
    format('%I.%I', n.nspname, c.relname) as "tableSql", quote_ident(a.attname) as "columnSql",
    coalesce((
      select array_agg(k.attname::text order by array_position(i.indkey::int2[], k.attnum))
      from pg_catalog.pg_index i
      join pg_catalog.pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey)
      where i.indrelid = c.oid and i.indisprimary
    ), '{}') as key
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where a.atttypid = 'app.envelope'::regtype and not a.attisdropped
    and c.relkind in ('r', 'p') and not c.relispartition
  order by 1, a.attnum`

/**
 * Reads from the catalog every column of envelopes except the check values, and adds the tokens of accounts.
 */
export async function readSealedColumns(database: Queryable): Promise<SealedColumn[]> {
  const { rows } = await database.query(ENVELOPE_COLUMNS)
  const columns = rows as unknown as (Omit<SealedColumn, 'ownerColumn'> & { key: string[] })[]
  return [
    ...columns
      .filter(({ table }) => table !== CHECKS_TABLE)
      .map(({ key, ...column }) => ({ ...column, ownerColumn: ownerOf(column, key) })),
    ...TOKEN_COLUMNS.map(column => ({
      table: ACCOUNTS_TABLE,
      column,
      tableSql: ACCOUNTS_TABLE,
      columnSql: column,
      ownerColumn: 'user_id',
    })),
  ]
}

function ownerOf({ table, column }: { table: string; column: string }, key: string[]): string {
  const [owner, id, ...others] = key
  if ((owner === 'user_id' || owner === 'organization_id') && id === 'id' && others.length === 0) return owner
  throw new MigrationError(
    'sealed_column',
    `${table}.${column} holds envelopes, but the primary key of ${table} is neither (user_id, id) nor (organization_id, id)`,
  )
}
