import type { ClientBase } from 'pg'

type Reader = Pick<ClientBase, 'query'>

export interface Table {
  /** `app.tasks` */
  readonly name: string
  readonly schema: 'app' | 'auth'
  /** The columns that the API's login may read, insert and update; generated columns can't be written. */
  readonly readable: string[]
  readonly insertable: string[]
  readonly updatable: string[]
  readonly isDeletable: boolean
  readonly columns: string[]
  /** The first column of its primary key, which names the owner if it is `user_id` or `organization_id`. */
  readonly ownerColumn: string | null
}

/** Reads all of our tables from the catalog, so that a new one is tested without being listed. */
export async function readTables(reader: Reader): Promise<Table[]> {
  const { rows } = await reader.query<Table>(
    `select
       format('%I.%I', n.nspname, c.relname) as name,
       n.nspname::text as schema,
       has_table_privilege('rowhouse_api', c.oid, 'DELETE') as "isDeletable",
       array_agg(quote_ident(a.attname) order by a.attnum) as columns,
       (
         select a.attname::text from pg_index x
         join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
         where x.indrelid = c.oid and x.indisprimary
       ) as "ownerColumn",
       coalesce(array_agg(quote_ident(a.attname) order by a.attnum)
         filter (where has_column_privilege('rowhouse_api', c.oid, a.attnum, 'SELECT')), '{}') as readable,
       coalesce(array_agg(quote_ident(a.attname) order by a.attnum)
         filter (where a.attgenerated = '' and has_column_privilege('rowhouse_api', c.oid, a.attnum, 'INSERT')), '{}') as insertable,
       coalesce(array_agg(quote_ident(a.attname) order by a.attnum)
         filter (where a.attgenerated = '' and has_column_privilege('rowhouse_api', c.oid, a.attnum, 'UPDATE')), '{}') as updatable
     from pg_class c
     join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where n.nspname in ('app', 'auth') and c.relkind in ('r', 'p')
     group by n.nspname, c.relname, c.oid
     order by 1`,
  )
  return rows
}

/** Reads every row of every table as text, with the transaction that wrote it, as the owner. */
export function snapshotTables(reader: Reader, tables: readonly Table[]): Promise<Record<string, string[]>> {
  return readEach(
    reader,
    tables,
    name => `array(select t.xmin || ' ' || to_jsonb(t) from ${name} t order by 1)`,
  )
}

/** The rows of a snapshot that contain one of these values. */
export function rowsMentioning(
  reader: Reader,
  tables: readonly Table[],
  values: readonly string[],
): Promise<Record<string, string[]>> {
  const pattern = values.map(value => value.replace(/\W/g, '\\$&')).join('|')
  return readEach(
    reader,
    tables,
    name =>
      `array(select t.xmin || ' ' || to_jsonb(t) from ${name} t where to_jsonb(t)::text ~ '${pattern}' order by 1)`,
  )
}

/**
 * Of each table what is another as soon as a row of it is written or deleted: where its rows lie and the
 * transactions that wrote them. Much less to read and to compare than a snapshot.
 */
export function fingerprintTables(reader: Reader, tables: readonly Table[]): Promise<Record<string, string>> {
  return readEach(
    reader,
    tables,
    name => `(select md5(string_agg(t.ctid || ' ' || t.xmin, ',' order by t.ctid)) from ${name} t)`,
  )
}

async function readEach<T>(
  reader: Reader,
  tables: readonly Table[],
  expression: (table: string) => string,
): Promise<Record<string, T>> {
  const { rows } = await reader.query<{ name: string; value: T }>(
    tables.map(({ name }) => `select '${name}' as name, ${expression(name)} as value`).join(' union all '),
  )
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}
