import type { AnyTRPCRouter } from '@trpc/server'
import type { AnyMiddlewareFunction, Parser } from '@trpc/server/unstable-core-do-not-import'
import { z } from 'zod'

// A procedure's output schema is its type and its documentation. tRPC would parse every answer with it: here nothing is parsed in
// production, and in tests everything is.

interface Definition {
  readonly procedure?: true
  readonly router?: true
  readonly type?: string
  readonly output?: Parser
  /** The same array that a call runs through. */
  readonly middlewares?: AnyMiddlewareFunction[]
}

/** Takes tRPC's parsing of outputs out of these procedures, and of those in records of them. */
export function withoutOutputParsing<Procedures extends object>(procedures: Procedures): Procedures {
  for (const member of Object.values(procedures)) {
    const definition = definitionOf(member)
    if (definition?.router) continue
    if (!definition) withoutOutputParsing(member)
    else drop(definition.middlewares, middleware => '_type' in middleware && middleware._type === 'output')
  }
  return procedures
}

const checked = new WeakSet<AnyMiddlewareFunction[]>()

/** Makes every procedure of a router fail whose answer is not what its output schema says. For tests. */
export function checkOutputs(router: AnyTRPCRouter): void {
  for (const [path, procedure] of Object.entries(router._def.procedures)) {
    const { output, middlewares, type } = definitionOf(procedure) ?? {}
    if (
      !(output instanceof z.core.$ZodType) ||
      !middlewares ||
      type === 'subscription' ||
      checked.has(middlewares)
    )
      continue
    checked.add(middlewares)
    // In front of the resolver, which is the last.
    middlewares.splice(-1, 0, checking(path, output))
  }
}

function checking(path: string, schema: z.core.$ZodType): AnyMiddlewareFunction {
  return async ({ next }) => {
    const result = await next()
    if (!result.ok) return result
    const parsed = z.safeParse(schema, result.data)
    if (parsed.success) return result
    throw new Error(`${path} answered what its output schema does not say:\n${z.prettifyError(parsed.error)}`)
  }
}

function definitionOf(value: unknown): Definition | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || !('_def' in value))
    return undefined
  return value._def as Definition
}

function drop<T>(array: T[] | undefined, isUnwanted: (member: T) => boolean): void {
  if (!array) return
  for (let index = array.length - 1; index >= 0; index--) {
    if (isUnwanted(array[index] as T)) array.splice(index, 1)
  }
}
