import pluralize from 'pluralize'
import type { Column, Table } from './columns.ts'

/** `agent_runs` -> `AgentRun`. Tables of every schema share these names. */
export function rowName(table: string): string {
  const words = camelCase(table).split(/(?=[A-Z])/)
  const last = words.pop() ?? ''
  const name = [...words, pluralize.singular(last)].join('')
  return name.slice(0, 1).toUpperCase() + name.slice(1)
}

/** The name of a table in Kysely statements: `app.agentRuns`. */
export function tableKey({ schema, name }: Table): string {
  return `${camelCase(schema)}.${camelCase(name)}`
}

/**
 * The name of a checked column's values: `AGENT_RUN_STATUS`; a domain's values are named after the domain:
 * `PROVIDER`.
 */
export function valuesName(table: Table, { name, domain }: Column): string {
  const words = domain === null ? `${rowName(table.name)}_${name}` : (domain.split('.').at(-1) ?? domain)
  return words.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()
}

/** The same rule as Kysely's CamelCasePlugin. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
