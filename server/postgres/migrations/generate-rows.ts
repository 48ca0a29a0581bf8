import type { Column, Table } from './columns.ts'
import { camelCase, rowName, tableKey, valuesName } from './generated-names.ts'

const HEADER = `// Written by \`npm run db:generate\` from the catalog: the rows of every table, as they are read, inserted and updated.
import type { Insertable, Selectable, Updateable } from 'kysely'
import * as c from './column-schemas.ts'
import type { DB } from './types.ts'
import * as v from './values.ts'
`

/**
 * The zod schemas and row types of these tables: \`selectTask\`, \`insertTask\`, \`updateTask\`, \`Task\`,
 * \`NewTask\`, \`TaskUpdate\`.
 */
export function generateRows(tables: readonly Table[]): string {
  const named = tables.map(table => ({ table, name: rowName(table.name), key: tableKey(table) }))
  const parts = named.map(({ table, name, key }) => renderTable(table, { name, key }))
  const index = named.map(
    ({ name, key }) => `  '${key}': { select: select${name}, insert: insert${name}, update: update${name} },`,
  )
  return [
    HEADER,
    ...parts,
    `/** By the name that statements use. */\nexport const rows = {\n${index.join('\n')}\n}\n`,
  ].join('\n')
}

function renderTable(table: Table, { name, key }: { name: string; key: string }): string {
  const lines = (columns: readonly Column[]) =>
    columns.flatMap(column => [
      ...docComment(column.comment, '  '),
      `  ${camelCase(column.name)}: ${columnSchema(table, column)},`,
    ])
  const written = table.columns.filter(({ isGenerated }) => !isGenerated)
  const generated = table.columns.filter(({ isGenerated }) => isGenerated)
  const columns = `columnsOf${name}`
  const all = generated.length === 0 ? columns : `{\n  ...${columns},\n${lines(generated).join('\n')}\n}`
  return [
    `const ${columns} = {`,
    ...lines(written),
    '}',
    ...docComment(table.comment),
    `export type ${name} = Selectable<DB['${key}']>`,
    `export type New${name} = Insertable<DB['${key}']>`,
    `export type ${name}Update = Updateable<DB['${key}']>`,
    `export const select${name} = /*#__PURE__*/ c.selectRow(${all})`,
    `export const insert${name} = /*#__PURE__*/ c.insertRow(${columns})`,
    `export const update${name} = /*#__PURE__*/ insert${name}.partial()`,
    '',
  ].join('\n')
}

function columnSchema(table: Table, column: Column): string {
  const { isNullable, hasDefault } = column
  const kind = isNullable ? 'nullable' : hasDefault ? 'defaulted' : 'required'
  const value = column.isArray ? `c.arrayOf(${valueSchema(table, column)})` : valueSchema(table, column)
  return `/*#__PURE__*/ c.${kind}(${value})`
}

const SCHEMAS_BY_TYPE: Readonly<Record<string, string>> = {
  uuid: 'c.uuid',
  boolean: 'c.boolean',
  jsonb: 'c.json',
  json: 'c.json',
  bytea: 'c.bytes',
  'timestamp with time zone': 'c.instant',
  real: 'c.float',
  'double precision': 'c.float',
}
const INTEGERS: readonly string[] = ['smallint', 'integer', 'bigint']

/** Domains that have their own schema. */
const SCHEMAS_BY_DOMAIN: Readonly<Record<string, string>> = { 'app.envelope': 'c.envelope' }

function valueSchema(table: Table, column: Column): string {
  const { type, domain, rule } = column
  const own = SCHEMAS_BY_DOMAIN[domain ?? '']
  if (own) return own
  if (rule.values) return `c.oneOf(v.${valuesName(table, column)})`
  if (INTEGERS.includes(type)) return `c.integer(${bounds(rule.min, rule.max)})`
  return SCHEMAS_BY_TYPE[type] ?? `c.text(${bounds(rule.minLength, rule.maxLength)})`
}

function bounds(min: number | undefined, max: number | undefined): string {
  const entries = [min !== undefined && `min: ${min}`, max !== undefined && `max: ${max}`].filter(Boolean)
  return entries.length === 0 ? '' : `{ ${entries.join(', ')} }`
}

function docComment(comment: string | null, indent = ''): string[] {
  return comment === null
    ? []
    : [`${indent}/** ${comment.replaceAll('*/', '* /').replaceAll(/\s*\n\s*/g, ' ')} */`]
}
