import { z } from 'zod'
import type { Json } from '../types.ts'

/** How one column reads and writes. */
interface Column {
  readonly select: z.core.SomeType
  readonly insert: z.core.SomeType
}

type Columns = Readonly<Record<string, Column>>
type Shape<C extends Columns, K extends 'select' | 'insert'> = { [N in keyof C]: C[N][K] }

/** The schemas of a table's rows: as they are read, and as they may be inserted. */
export function table<C extends Columns>(columns: C) {
  const pick = <K extends 'select' | 'insert'>(side: K) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[side]])) as Shape<C, K>
  return { select: z.strictObject(pick('select')), insert: z.strictObject(pick('insert')) }
}

/** A value that every row has and every insert names. */
export function required<S extends z.core.SomeType>(value: S) {
  return { select: value, insert: value }
}

/** A value that every row has, from a default where an insert leaves it out. */
export function defaulted<S extends z.core.SomeType>(value: S) {
  return { select: value, insert: z.optional(value) }
}

/** A value that a row may lack. */
export function nullable<S extends z.core.SomeType>(value: S) {
  return { select: z.nullable(value), insert: z.nullish(value) }
}

const instant = z.date()
const writtenInstant = z.union([z.date(), z.string()])

/** A timestamptz; inserts may write it as text. */
export const timestamp = {
  required: { select: instant, insert: writtenInstant },
  defaulted: { select: instant, insert: writtenInstant.optional() },
  nullable: { select: instant.nullable(), insert: writtenInstant.nullish() },
}

export const uuid = z.guid()
export const json = z.custom<Json>(value => z.json().safeParse(value).success)
export const bytes = z.custom<Buffer>(value => Buffer.isBuffer(value))
/** What a column of the domain app.envelope holds. */
export const envelope = z.string().startsWith('rh1.')
