import type { Table } from './columns.ts'
import { valuesName } from './generated-names.ts'

const HEADER = `// Written by \`npm run db:generate\` from the catalog: the only values that a column may have, by its check. Imports nothing, so that
// a browser's bundle holds what it uses.
`

/** A constant for each column, or domain, whose check lists its values. */
export function generateValues(tables: readonly Table[]): string {
  const constants = new Map<string, string>()
  for (const table of tables) {
    for (const column of table.columns) {
      const { values } = column.rule
      if (!values) continue
      const place = column.domain ?? `${table.schema}.${table.name}.${column.name}`
      const list = values.map(value => `'${value.replaceAll("'", "\\'")}'`).join(', ')
      const name = valuesName(table, column)
      constants.set(name, `/** ${place} */\nexport const ${name} = [${list}] as const`)
    }
  }
  return [HEADER, ...constants.values(), ''].join('\n')
}
