import { CamelCasePlugin, PostgresQueryCompiler } from 'kysely'
import pg from 'pg'

const INT8 = 20
const DATE = 1082
const TIMESTAMPTZ = 1184

/** Kysely's own mapping of names, without the rest of its plugin: that copies every statement's tree and every row. */
class Names extends CamelCasePlugin {
  toSnakeCase(name: string): string {
    return this.snakeCase(name)
  }

  toCamelCase(name: string): string {
    return this.camelCase(name)
  }
}

const names = new Names()

/** Writes camelCase identifiers in snake_case. What comes back is renamed once a statement and connection ({@link columnsOf}). */
export class SnakeCaseCompiler extends PostgresQueryCompiler {
  protected override sanitizeIdentifier(identifier: string): string {
    return super.sanitizeIdentifier(names.toSnakeCase(identifier))
  }
}

export interface Column {
  readonly name: string
  readonly parse: (text: string) => unknown
}

/** One column of a RowDescription message. */
export interface FieldDescription {
  readonly name: string
  readonly dataTypeID: number
}

export function columnsOf(fields: readonly FieldDescription[]): Column[] {
  return fields.map(field => ({ name: names.toCamelCase(field.name), parse: parserOf(field.dataTypeID) }))
}

function parserOf(dataTypeId: number): (text: string) => unknown {
  switch (dataTypeId) {
    case INT8:
      return parseInt8
    case DATE:
      // A calendar day has no time zone; a Date would give it one.
      return text => text
    case TIMESTAMPTZ:
      return parseTimestamp
    default:
      return pg.types.getTypeParser(dataTypeId, 'text')
  }
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} does not fit a JavaScript number`)
  return value
}

const parseAnyTimestamp = pg.types.getTypeParser(TIMESTAMPTZ, 'text')

/** Reads `2026-11-21 08:22:57.123456+00`, which sign_in makes sure of, and leaves anything else to the general parser. */
function parseTimestamp(text: string): Date | unknown {
  if (text.charCodeAt(4) !== 45 || text.charCodeAt(10) !== 32 || !text.endsWith('+00'))
    return parseAnyTimestamp(text)
  const date = new Date(`${text.slice(0, 10)}T${text.slice(11, Math.min(23, text.length - 3))}Z`)
  return Number.isNaN(date.getTime()) ? parseAnyTimestamp(text) : date
}
