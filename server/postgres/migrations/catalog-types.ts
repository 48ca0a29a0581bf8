import type { Client } from 'pg'
import type { CatalogEntry } from './catalog.ts'
import { type Grant, grantsSql, quoteLiteral, renderComment, renderGrants } from './catalog-grants.ts'

/** SQL that excludes the objects of extensions. */
export const notOfExtension = (catalog: string, oid: string) => `not exists (
  select from pg_catalog.pg_depend d
  where d.classid = 'pg_catalog.${catalog}'::regclass and d.objid = ${oid} and d.deptype = 'e'
)`

interface TypeRow {
  name: string
  kind: string
  comment: string | null
  labels: string[] | null
  base: string | null
  attributes: string[] | null
  constraints: string[] | null
  grants: Grant[]
}

export async function readTypes(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<TypeRow>(
    `select format('%I.%I', n.nspname, t.typname) as name, t.typtype as kind, obj_description(t.oid, 'pg_type') as comment,
       (select json_agg(enumlabel order by enumsortorder) from pg_catalog.pg_enum where enumtypid = t.oid) as labels,
       case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod)
         || coalesce(' default ' || t.typdefault, '') || case when t.typnotnull then ' not null' else '' end end as base,
       (select json_agg(format('%I %s', attname, format_type(atttypid, atttypmod)) order by attnum)
        from pg_catalog.pg_attribute where attrelid = t.typrelid and attnum > 0 and not attisdropped) as attributes,
       (select json_agg(format('constraint %I %s', conname, pg_get_constraintdef(oid)) order by conname collate "C")
        from pg_catalog.pg_constraint where contypid = t.oid and contype = 'c') as constraints,
       ${grantsSql('t.typacl', 'T', 't.typowner')} as grants
     from pg_catalog.pg_type t
     join pg_catalog.pg_namespace n on n.oid = t.typnamespace
     left join pg_catalog.pg_class c on c.oid = t.typrelid
     where n.nspname = any ($1) and ${notOfExtension('pg_type', 't.oid')}
       and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')`,
    [schemas],
  )
  return rows.map(row => {
    const object = `${row.kind === 'd' ? 'domain' : 'type'} ${row.name}`
    const sql = [
      `create ${object}${typeBody(row)};`,
      ...renderComment(object, row.comment),
      ...renderGrants(object, row.grants, 'usage'),
    ]
    return { section: 'types', group: row.name, object, sql: sql.join('\n') }
  })
}

function typeBody(row: TypeRow): string {
  if (row.kind === 'e') return ` as enum (${(row.labels ?? []).map(quoteLiteral).join(', ')})`
  if (row.kind === 'd') return ` as ${[row.base, ...(row.constraints ?? [])].join('\n  ')}`
  if (row.kind === 'c') return ` as (\n  ${(row.attributes ?? []).join(',\n  ')}\n)`
  return ' as range'
}

/** Sequences that do not belong to an identity column. */
export async function readSequences(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<{
    name: string
    options: string
    comment: string | null
    grants: Grant[]
  }>(
    `select format('%I.%I', n.nspname, c.relname) as name, obj_description(c.oid, 'pg_class') as comment,
       format('as %s increment by %s minvalue %s maxvalue %s start with %s cache %s%s', format_type(s.seqtypid, null),
         s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then ' cycle' else '' end) as options,
       ${grantsSql('c.relacl', 's', 'c.relowner')} as grants
     from pg_catalog.pg_sequence s
     join pg_catalog.pg_class c on c.oid = s.seqrelid
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any ($1) and ${notOfExtension('pg_class', 'c.oid')}
       and not exists (select from pg_catalog.pg_depend d where d.objid = c.oid and d.deptype = 'i')`,
    [schemas],
  )
  return rows.map(({ name, options, comment, grants }) => {
    const object = `sequence ${name}`
    const sql = [
      `create ${object} ${options};`,
      ...renderComment(object, comment),
      ...renderGrants(object, grants),
    ]
    return { section: 'sequences', group: name, object, sql: sql.join('\n') }
  })
}

interface FunctionRow {
  name: string
  kind: string
  definition: string
  comment: string | null
  needs_tables: boolean
  grants: Grant[]
}

export async function readFunctions(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<FunctionRow>(
    `select format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) as name,
       case p.prokind when 'p' then 'procedure' else 'function' end as kind,
       pg_get_functiondef(p.oid) as definition, obj_description(p.oid, 'pg_proc') as comment,
       exists (
         select from pg_catalog.pg_depend d
         left join pg_catalog.pg_type t on d.refclassid = 'pg_catalog.pg_type'::regclass and t.oid = d.refobjid
         left join pg_catalog.pg_type e on e.oid = t.typelem
         left join pg_catalog.pg_class c on c.oid = coalesce(nullif(t.typrelid, 0), e.typrelid)
         where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid
           and (d.refclassid = 'pg_catalog.pg_class'::regclass or c.relkind <> 'c')
       ) as needs_tables,
       ${grantsSql('p.proacl', 'f', 'p.proowner')} as grants
     from pg_catalog.pg_proc p
     join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname = any ($1) and p.prokind <> 'a' and ${notOfExtension('pg_proc', 'p.oid')}`,
    [schemas],
  )
  return rows.map(({ name, kind, definition, comment, needs_tables, grants }) => {
    const object = `${kind} ${name}`
    const sql = [
      `${definition.trimEnd()};`,
      ...renderComment(object, comment),
      ...renderGrants(object, grants, 'execute'),
    ]
    const section = needs_tables ? 'functions over tables' : 'functions'
    return { section, group: name, object, sql: sql.join('\n') }
  })
}

export async function readViews(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<{
    name: string
    kind: string
    options: string
    definition: string
    comment: string | null
    grants: Grant[]
  }>(
    `select format('%I.%I', n.nspname, c.relname) as name, pg_get_viewdef(c.oid) as definition,
       case c.relkind when 'm' then 'materialized view' else 'view' end as kind,
       coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '') as options,
       obj_description(c.oid, 'pg_class') as comment, ${grantsSql('c.relacl', 'r', 'c.relowner')} as grants
     from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any ($1) and c.relkind in ('v', 'm') and ${notOfExtension('pg_class', 'c.oid')}`,
    [schemas],
  )
  return rows.map(({ name, kind, options, definition, comment, grants }) => {
    const sql = [
      `create ${kind} ${name}${options} as\n${definition}`,
      ...renderComment(`${kind} ${name}`, comment),
      ...renderGrants(`table ${name}`, grants),
    ]
    return { section: 'views', group: name, object: `${kind} ${name}`, sql: sql.join('\n') }
  })
}
