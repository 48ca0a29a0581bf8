import type { Client } from 'pg'
import type { CatalogEntry } from './catalog.ts'
import { type Grant, grantsSql, renderComment, renderGrants } from './catalog-grants.ts'

export async function readExtensions(client: Client): Promise<CatalogEntry[]> {
  const { rows } = await client.query<{ name: string; schema: string }>(`
    select quote_ident(extname) as name, quote_ident(nspname) as schema
    from pg_catalog.pg_extension e
    join pg_catalog.pg_namespace n on n.oid = e.extnamespace
    where extname <> 'plpgsql'
  `)
  return rows.map(({ name, schema }) => ({
    section: 'extensions',
    group: name,
    object: `extension ${name}`,
    sql: `create extension if not exists ${name} with schema ${schema};`,
  }))
}

export async function readSchemas(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<{ name: string; comment: string | null; grants: Grant[] }>(
    `select quote_ident(nspname) as name, obj_description(oid, 'pg_namespace') as comment,
       ${grantsSql('nspacl', 'n', 'nspowner')} as grants
     from pg_catalog.pg_namespace
     where nspname = any ($1)`,
    [schemas],
  )
  return rows.flatMap(({ name, comment, grants }): CatalogEntry[] => {
    if (name === 'public') return publicSchema(grants)
    const target = `schema ${name}`
    const sql = [`create ${target};`, ...renderComment(target, comment), ...renderGrants(target, grants)]
    return [{ section: 'schemas', group: name, object: target, sql: sql.join('\n') }]
  })
}

/** The schema public comes with the database, with rights for everyone and for the database's owner. */
function publicSchema(grants: Grant[]): CatalogEntry[] {
  const ours = grants.filter(({ grantee }) => grantee.startsWith('rowhouse_'))
  if (ours.length === 0) return []
  const sql = renderGrants('schema public', ours).join('\n')
  return [{ section: 'schemas', group: 'public', object: 'grants on schema public', sql }]
}

const objectKinds: Record<string, { plural: string; publicDefault?: string }> = {
  r: { plural: 'tables' },
  S: { plural: 'sequences' },
  f: { plural: 'functions', publicDefault: 'execute' },
  T: { plural: 'types', publicDefault: 'usage' },
  n: { plural: 'schemas' },
}

/** The rights that the owner's future objects grant to others. */
export async function readDefaultPrivileges(client: Client, schemas: string[]): Promise<CatalogEntry[]> {
  const { rows } = await client.query<{ schema: string | null; kind: string; grants: Grant[] }>(
    `select quote_ident(nspname) as schema, defaclobjtype as kind, ${grantsSql('defaclacl', 'r', 'defaclrole')} as grants
     from pg_catalog.pg_default_acl d
     left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
     where defaclrole = current_user::regrole and (nspname is null or nspname = any ($1))`,
    [schemas],
  )
  return rows.flatMap(({ schema, kind, grants }): CatalogEntry[] => {
    const { plural = kind, publicDefault } = objectKinds[kind] ?? {}
    const scope = schema === null ? '' : ` in schema ${schema}`
    // A schema's default privileges only add to the database's.
    const lines = renderGrants(plural, grants, schema === null ? publicDefault : undefined)
    if (lines.length === 0) return []
    const sql = lines.map(line => `alter default privileges${scope} ${line}`).join('\n')
    const object = `default privileges${scope} on ${plural}`
    return [{ section: 'default privileges', group: object, object, sql }]
  })
}
