/** The part of a check constraint on one column's values that a schema can express. */
export interface ColumnRule {
  /** The only allowed values; for an array, its elements'. */
  readonly values?: readonly string[]
  readonly min?: number
  readonly max?: number
  /** In characters, as Postgres counts. */
  readonly minLength?: number
  readonly maxLength?: number
}

/**
 * Parses a check on one column, in the form of `pg_get_constraintdef`. Ignores the parts that it does not
 * understand: the database enforces the whole rule.
 */
export function ruleOf(definition: string, column: string): ColumnRule {
  // One part of a disjunction excludes nothing by itself.
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

/** Inclusive bounds: a whole number above 0 is at least 1. */
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
