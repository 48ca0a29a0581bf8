/** What a check constraint says about one column's values, as far as a schema can say the same. */
export interface ColumnRule {
  /** The only values there may be; of an array, its members'. */
  readonly values?: readonly string[]
  readonly min?: number
  readonly max?: number
  /** In characters, as Postgres counts them. */
  readonly minLength?: number
  readonly maxLength?: number
}

/**
 * Reads a check over one column, as `pg_get_constraintdef` writes it. What it does not understand it leaves
 * out: the database keeps the whole rule.
 */
export function ruleOf(definition: string, column: string): ColumnRule {
  // A disjunction excludes nothing by one of its parts.
  if (/ OR | = \(|IS (NOT )?NULL/.test(withoutTexts(definition))) return {}
  const escaped = column.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const name = `(?:${escaped}|\\(${escaped}\\))(?:::text)?`
  const values = valuesOf(definition, name)
  if (values) return { values }
  const length = boundsOf(definition, `(?<!\\w)(?:char_)?length\\(${name}\\)`)
  const number = boundsOf(definition, `(?<![\\w(])\\(+${escaped}`)
  return {
    ...(number.min !== undefined && { min: number.min }),
    ...(number.max !== undefined && { max: number.max }),
    ...(length.min !== undefined && { minLength: length.min }),
    ...(length.max !== undefined && { maxLength: length.max }),
  }
}

const TEXT = `'(?:[^']|'')*'`

function withoutTexts(definition: string): string {
  return definition.replace(new RegExp(TEXT, 'g'), "''")
}

function valuesOf(definition: string, name: string): string[] | undefined {
  const list = new RegExp(
    `^CHECK \\(\\(${name} (?:= ANY|<@) \\(?ARRAY\\[((?:${TEXT}::[a-z ]+(?:, )?)+)\\]\\)?\\)\\)$`,
  ).exec(definition)?.[1]
  return list?.match(new RegExp(TEXT, 'g'))?.map(text => text.slice(1, -1).replaceAll("''", "'"))
}

/** Bounds that may be reached: a whole number above 0 is 1 or more. */
function boundsOf(definition: string, operand: string): { min?: number; max?: number } {
  const bounds: { min?: number; max?: number } = {}
  const comparison = new RegExp(`${operand} (>=|>|<=|<) [('(]*(-?\\d+)(?![\\d.])`, 'g')
  for (const [, operator, text] of definition.matchAll(comparison)) {
    const value = Number(text)
    if (operator === '>=') bounds.min = value
    else if (operator === '>') bounds.min = value + 1
    else if (operator === '<=') bounds.max = value
    else bounds.max = value - 1
  }
  return bounds
}
