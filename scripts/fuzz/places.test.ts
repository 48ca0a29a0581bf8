import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { appRouter } from '#server/rpc/router.ts'
import { placesOf, sampleOf } from './places.ts'

interface Definition {
  readonly _def: { readonly inputs: z.core.$ZodType[] }
}

const PROCEDURES = Object.entries(appRouter._def.procedures as unknown as Record<string, Definition>).flatMap(
  ([path, { _def }]) => _def.inputs.map(schema => ({ path, schema })),
)

/** Characters that Postgres refuses or changes, in every format that a schema may expect. */
const UNSTORABLE = ['\0', '\ud800', '\udfff', '\udc00\ud800'].flatMap(sign =>
  ['a?', '?a', 'https://a.b/?', 'https://?.b/', 'a@b.de?', 'en?', '1?', 'normal:?', 'text/plain?'].map(text =>
    text.replace('?', sign),
  ),
)

describe.each(PROCEDURES)('the input of $path', ({ schema }) => {
  const places = placesOf(schema)

  it('is accepted with the values around a place', () => {
    expect(z.safeParse(schema, sampleOf(schema)).error).toBeUndefined()
  })

  it.each(places)('accepts no NUL and no lone surrogate in $name', ({ before, after }) => {
    for (const text of UNSTORABLE) {
      const input = before + JSON.stringify(text) + after
      expect(takesText(schema, input), input).toBe(false)
    }
  })
})

function takesText(schema: z.core.$ZodType, json: string): boolean {
  return z.safeParse(schema, JSON.parse(json)).success
}
