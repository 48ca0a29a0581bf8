import { CamelCasePlugin, PostgresQueryCompiler } from 'kysely'
import pg from 'pg'

const INT8 = 20
const DATE = 1082
const TIMESTAMPTZ = 1184

/** Only Kysely's mapping of names: the rest of its plugin copies every statement's tree and every row. */
class Names extends CamelCasePlugin {
  toSnakeCase(name: string): string {
    return this.snakeCase(name)
  }

  toCamelCase(name: string): string {
    return this.camelCase(name)
  }
}

const names = new Names()

/**
 * Compiles camelCase identifiers to snake_case. {@link columnsOf} maps the result's columns back, once per
 * statement and connection.
 */
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
      // A date stays text: a Date would give the calendar day a time zone.
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

const ZERO = '0'.charCodeAt(0)
const OFFSET_LENGTH = '+00'.length
const parseAnyTimestamp = pg.types.getTypeParser(TIMESTAMPTZ, 'text')

/**
 * Parses `2026-11-21 08:22:57.123456+00`, the format that sign_in sets, and leaves any other text to the
 * general parser.
 */
export function parseTimestamp(text: string): unknown {
  const year = digitsAt(text, 0) * 100 + digitsAt(text, 2)
  // Date.UTC maps years below 100 to the twentieth century.
  if (text[4] !== '-' || text[10] !== ' ' || !text.endsWith('+00') || year < 100)
    return parseAnyTimestamp(text)
  const time = Date.UTC(
    year,
    digitsAt(text, 5) - 1,
    digitsAt(text, 8),
    digitsAt(text, 11),
    digitsAt(text, 14),
  )
  return new Date(time + digitsAt(text, 17) * 1_000 + millisecondsAt(text, 19))
}

/** The value of two digits. */
function digitsAt(text: string, index: number): number {
  return (text.charCodeAt(index) - ZERO) * 10 + text.charCodeAt(index + 1) - ZERO
}

/** Milliseconds of an optional fraction of one to six digits. Truncates further digits, as Date does. */
function millisecondsAt(text: string, index: number): number {
  let milliseconds = 0
  for (let unit = 100, at = index + 1; unit >= 1 && at < text.length - OFFSET_LENGTH; unit /= 10, at++) {
    milliseconds += (text.charCodeAt(at) - ZERO) * unit
  }
  return milliseconds
}
