import type { Insertable, Selectable } from 'kysely'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { z } from 'zod'
import { rows } from './rows.ts'
import type { DB } from './types.ts'

type Rows = typeof rows
/** The columns whose schema's type and generated type differ. */
type Differing<A, B> = {
  [K in keyof A | keyof B]: K extends keyof A & keyof B ? ([A[K], B[K]] extends [B[K], A[K]] ? never : K) : K
}[keyof A | keyof B]
type Required<T> = { [K in keyof T]-?: T[K] }

type SelectDiffers = { [T in keyof DB]: Differing<z.output<Rows[T]['select']>, Selectable<DB[T]>> }[keyof DB]
type InsertDiffers = {
  [T in keyof DB]: Differing<Required<z.input<Rows[T]['insert']>>, Required<Insertable<DB[T]>>>
}[keyof DB]
type OptionalKeys<T> = { [K in keyof T]-?: object extends Pick<T, K> ? K : never }[keyof T]
type OptionalDiffers = {
  [T in keyof DB]: Exclude<OptionalKeys<z.input<Rows[T]['insert']>>, OptionalKeys<Insertable<DB[T]>>>
}[keyof DB]

describe('row schemas', () => {
  it('exist for every table and for nothing else', () => {
    expectTypeOf<keyof Rows>().toEqualTypeOf<keyof DB>()
  })

  it('read the generated types', () => {
    expectTypeOf<SelectDiffers>().toEqualTypeOf<never>()
  })

  it('insert the generated types, with the same optional columns', () => {
    expectTypeOf<InsertDiffers>().toEqualTypeOf<never>()
    expectTypeOf<OptionalDiffers>().toEqualTypeOf<never>()
  })

  it('refuse a column that the table does not have', () => {
    const result = rows['app.settings'].insert.safeParse({ key: 'theme', value: 'dark', owner: 'me' })
    expect(result.success).toBe(false)
  })
})
