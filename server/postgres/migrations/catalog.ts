import type { Client } from 'pg'
import { readDefaultPrivileges, readExtensions, readSchemas } from './catalog-schemas.ts'
import { readTables } from './catalog-tables.ts'
import { readFunctions, readSequences, readTypes, readViews } from './catalog-types.ts'

/** The sections of `schema.sql`, in an order that lets psql load the file into an empty database. */
const sections = [
  'extensions',
  'schemas',
  'types',
  'sequences',
  'functions',
  'tables',
  'functions over tables',
  'views',
  'foreign keys',
  'policies that read other tables',
  // Last, because default privileges would otherwise apply to the objects above.
  'default privileges',
] as const

/** One object of the database and the statement that creates it. */
export interface CatalogEntry {
  section: (typeof sections)[number]
  /** Groups entries within their section: a table with its dependent objects. */
  group: string
  /** The object's name in messages: `policy select_owner on app.tasks`. */
  object: string
  sql: string
}

const neutralSession = `
  begin transaction isolation level repeatable read, read only;
  set local search_path = '';
  set local timezone = 'UTC';
  set local datestyle = 'ISO, YMD';
  set local intervalstyle = 'postgres';
  set local bytea_output = 'hex';
  set local extra_float_digits = 1;
  set local quote_all_identifiers = off;
`

/**
 * Reads every object of ours, in a form that does not depend on the server's version (15 to 18), the owner's
 * name, or the history of the database. Without `schemas` it reads all schemas except the system's. Starts
 * its own transaction.
 */
export async function readCatalog(client: Client, schemas?: string[]): Promise<CatalogEntry[]> {
  await client.query(neutralSession)
  try {
    const names = schemas ?? (await userSchemas(client))
    return [
      ...(await readExtensions(client)),
      ...(await readSchemas(client, names)),
      ...(await readDefaultPrivileges(client, names)),
      ...(await readTypes(client, names)),
      ...(await readSequences(client, names)),
      ...(await readFunctions(client, names)),
      ...(await readTables(client, names)),
      ...(await readViews(client, names)),
    ]
  } finally {
    await client.query('rollback')
  }
}

/** The schemas of neither the system nor an extension. */
async function userSchemas(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(`
    select nspname::text as name
    from pg_catalog.pg_namespace n
    where nspname !~ '^pg_' and nspname <> 'information_schema'
      and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e'
      )
  `)
  return rows.map(row => row.name)
}

/** The schemas of the entries, except `public`. */
export function schemasOf(entries: CatalogEntry[]): string[] {
  const names = entries.filter(entry => entry.object.startsWith('schema ')).map(entry => entry.group)
  return [...new Set([...names, 'public'])]
}

const header = `-- What the migrations add up to, read from the catalog of a database that they built: for review, not for editing.
-- Written by \`npm run db:generate\`. psql can load it into an empty database once the four logins exist.

set check_function_bodies = off;
`

/** Renders the entries as one SQL file, grouped by table. */
export function renderCatalog(entries: CatalogEntry[]): string {
  const parts = [header]
  for (const section of sections) {
    const members = entries.filter(entry => entry.section === section)
    const groups = [...new Set(members.map(entry => entry.group))].sort(byCodePoint)
    for (const group of groups) {
      if (section === 'tables') parts.push(`-- ${group}\n`)
      const statements = members.filter(entry => entry.group === group).map(entry => entry.sql)
      parts.push(`${statements.join(section === 'tables' ? '\n\n' : '\n')}\n`)
    }
  }
  return parts.join('\n')
}

export interface CatalogDifference {
  object: string
  kind: 'missing' | 'unexpected' | 'different'
  /** The differing lines, marked - (expected) and + (found). */
  lines: string[]
}

/** Returns each object that differs from the expected one. An additional extension is no difference. */
export function compareCatalogs(expected: CatalogEntry[], found: CatalogEntry[]): CatalogDifference[] {
  const expectedSql = new Map(expected.map(entry => [entry.object, entry.sql]))
  const foundSql = new Map(found.map(entry => [entry.object, entry.sql]))
  const differences: CatalogDifference[] = []
  for (const [object, sql] of expectedSql) {
    const other = foundSql.get(object)
    if (other === undefined) differences.push({ object, kind: 'missing', lines: [] })
    else if (other !== sql) differences.push({ object, kind: 'different', lines: lineDifference(sql, other) })
  }
  for (const object of foundSql.keys()) {
    if (expectedSql.has(object) || object.startsWith('extension ')) continue
    differences.push({ object, kind: 'unexpected', lines: [] })
  }
  return differences
}

/** The lines that only one of the texts has. */
export function lineDifference(expected: string, found: string): string[] {
  const expectedLines = expected.split('\n')
  const foundLines = found.split('\n')
  const inFound = new Set(foundLines)
  const inExpected = new Set(expectedLines)
  return [
    ...expectedLines.filter(line => !inFound.has(line)).map(line => `- ${line.trim()}`),
    ...foundLines.filter(line => !inExpected.has(line)).map(line => `+ ${line.trim()}`),
  ]
}

/** Compares in the order of the C collation, whatever the locale of the server or the machine. */
function byCodePoint(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
