import type { Client } from 'pg'
import { type ColumnRule, ruleOf } from './checks.ts'

/** The facts about a column that generated code needs. */
export interface Column {
  readonly name: string
  /** Without the brackets of an array or the name of a domain: `text`, `timestamp with time zone`. */
  readonly type: string
  readonly isArray: boolean
  /** Such as `app.envelope`; null for a built-in type. */
  readonly domain: string | null
  readonly isNullable: boolean
  readonly hasDefault: boolean
  /** The database computes the value and refuses a written one. */
  readonly isGenerated: boolean
  readonly comment: string | null
  readonly rule: ColumnRule
}

export interface Table {
  readonly schema: string
  readonly name: string
  readonly comment: string | null
  readonly columns: readonly Column[]
}

interface ColumnRow extends Omit<Column, 'rule'> {
  readonly schema: string
  readonly table: string
  readonly tableComment: string | null
  readonly checks: readonly string[]
  readonly domainChecks: readonly string[]
  /** The name as it appears in expressions. */
  readonly quotedName: string
}

const SQL = `
select
  n.nspname::text as schema,
  c.relname::text as table,
  obj_description(c.oid, 'pg_class') as "tableComment",
  a.attname::text as name,
  quote_ident(a.attname) as "quotedName",
  format_type(coalesce(nullif(e.typbasetype, 0), e.oid), null) as type,
  t.typelem <> 0 and t.typcategory = 'A' as "isArray",
  case when e.typtype = 'd' then format('%I.%I', en.nspname, e.typname) end as domain,
  not a.attnotnull as "isNullable",
  a.atthasdef or a.attidentity <> '' as "hasDefault",
  a.attgenerated <> '' or a.attidentity = 'a' as "isGenerated",
  col_description(c.oid, a.attnum) as comment,
  array(
    select pg_get_constraintdef(k.oid) from pg_constraint k
    where k.conrelid = c.oid and k.contype = 'c' and k.conkey = array[a.attnum] order by k.conname
  ) as checks,
  array(
    select pg_get_constraintdef(k.oid) from pg_constraint k
    where k.contypid = e.oid and k.contype = 'c' order by k.conname
  ) as "domainChecks"
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
join pg_type e on e.oid = case when t.typelem <> 0 and t.typcategory = 'A' then t.typelem else t.oid end
join pg_namespace en on en.oid = e.typnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'p')
order by n.nspname collate "C", c.relname collate "C", a.attnum`

/** Reads the tables of these schemas, with columns in table order. */
export async function readColumns(client: Client, schemas: readonly string[]): Promise<Table[]> {
  const { rows } = await client.query<ColumnRow>(SQL, [schemas])
  const byTable = Map.groupBy(rows, ({ schema, table }) => `${schema}.${table}`)
  return [...byTable.values()].flatMap(columns => {
    const [first] = columns
    return first
      ? [
          {
            schema: first.schema,
            name: first.table,
            comment: first.tableComment,
            columns: columns.map(toColumn),
          },
        ]
      : []
  })
}

function toColumn({ checks, domainChecks, quotedName, ...row }: ColumnRow): Column {
  const { name, type, isArray, domain, isNullable, hasDefault, isGenerated, comment } = row
  const rules = [
    ...domainChecks.map(check => ruleOf(check, 'VALUE')),
    ...checks.map(check => ruleOf(check, quotedName)),
  ]
  const rule: ColumnRule = Object.assign({}, ...rules)
  return { name, type, isArray, domain, isNullable, hasDefault, isGenerated, comment, rule }
}
