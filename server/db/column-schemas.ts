import { z } from 'zod'
import type { Json } from './types.ts'

// The building blocks of the generated row schemas.

/** The schemas of one column: for a read value and for an inserted one. */
interface Column {
  readonly select: z.core.SomeType
  readonly insert: z.core.SomeType
}

interface Value<Select extends z.core.SomeType, Insert extends z.core.SomeType = Select> {
  readonly select: Select
  readonly insert: Insert
}

type Columns = Readonly<Record<string, Column>>
type Shape<C extends Columns, K extends keyof Column> = { [N in keyof C]: C[N][K] }

export function selectRow<C extends Columns>(columns: C) {
  return z.strictObject(side(columns, 'select'))
}

export function insertRow<C extends Columns>(columns: C) {
  return z.strictObject(side(columns, 'insert'))
}

function side<C extends Columns, K extends keyof Column>(columns: C, key: K): Shape<C, K> {
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[key]])) as Shape<
    C,
    K
  >
}

/** A column that is never null and that every insert sets. */
export function required<S extends z.core.SomeType, I extends z.core.SomeType>(value: Value<S, I>) {
  return value
}

/** A column that is never null and has a default if an insert omits it. */
export function defaulted<S extends z.core.SomeType, I extends z.core.SomeType>({
  select,
  insert,
}: Value<S, I>) {
  return { select, insert: z.optional(insert) }
}

/** A nullable column. */
export function nullable<S extends z.core.SomeType, I extends z.core.SomeType>({
  select,
  insert,
}: Value<S, I>) {
  return { select: z.nullable(select), insert: z.nullish(insert) }
}

function same<S extends z.core.SomeType>(schema: S): Value<S> {
  return { select: schema, insert: schema }
}

interface Bounds {
  readonly min?: number
  readonly max?: number
}

/** Text whose length counts characters, as Postgres does, not UTF-16 code units. */
export function text({ min = 0, max }: Bounds = {}) {
  if (max === undefined) return same(min > 0 ? z.string().min(min) : z.string())
  const fits = (value: string) => {
    // A text never has fewer code units than characters.
    if (value.length >= min && value.length <= max && min <= 1) return true
    const length = [...value].length
    return length >= min && length <= max
  }
  return same(
    z.string().refine(fits, `must have ${min} to ${max} characters`).meta({ minLength: min, maxLength: max }),
  )
}

export function integer({ min, max }: Bounds = {}) {
  const above = min === undefined ? z.int() : z.int().min(min)
  return same(max === undefined ? above : above.max(max))
}

export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return same(z.enum(values))
}

export function arrayOf<S extends z.core.SomeType, I extends z.core.SomeType>({
  select,
  insert,
}: Value<S, I>) {
  return { select: z.array(select), insert: z.array(insert) }
}

export const uuid = same(z.guid())
export const float = same(z.number())
export const boolean = same(z.boolean())
export const json = same(z.custom<Json>(value => z.json().safeParse(value).success))
export const bytes = same(z.custom<Buffer>(value => Buffer.isBuffer(value)))
/** A timestamptz; an insert may write it as text. */
export const instant = { select: z.date(), insert: z.union([z.date(), z.string()]) }
/** A value of the domain app.envelope. */
export const envelope = same(z.string().startsWith('rh1.'))

/** The names of a schema's members: the columns that a statement selects to return them. */
export function namesIn<Shape extends z.core.$ZodShape>(
  schema: z.ZodObject<Shape>,
): (keyof Shape & string)[] {
  return Object.keys(schema.shape)
}

/**
 * Picks these members of an object, with null for missing ones, so that the resulting statement always has
 * the same text.
 */
export function pick<T extends object, Name extends keyof T>(
  object: T,
  names: readonly Name[],
): { [N in Name]-?: Exclude<T[N], undefined> | (undefined extends T[N] ? null : never) } {
  const picked: Partial<Record<Name, unknown>> = {}
  for (const name of names) picked[name] = object[name] ?? null
  return picked as ReturnType<typeof pick<T, Name>>
}
