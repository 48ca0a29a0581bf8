// Procedures for the tests of the HTTP surface: everything that a procedure can do to its answer, and no database.

import { type AnyTRPCProcedure, initTRPC, lazy, TRPCError, tracked } from '@trpc/server'
import superjson from 'superjson'
import { z } from 'zod'
import { transformer } from '#server/rpc/transformer.ts'
import type { HttpContext } from './trpc/context-input.ts'

export interface TestContext extends HttpContext {
  name: string
}

export type Transformer = 'superjson' | 'plain JSON'

/** Told of the procedures that ended because their caller left. */
export interface TestHooks {
  onAborted?: () => void
  /** Held calls end when this resolves. */
  hold?: () => Promise<void>
}

/** Which serializer a server has: superjson's, or the faster one that must write the same. Both read inputs alike. */
export type Serializer = 'reference' | 'ours'

export function createTestRouter(kind: Transformer, serializer: Serializer, hooks: TestHooks = {}) {
  const superjsonLike =
    serializer === 'ours' ? transformer : { ...transformer, serialize: superjson.serialize }
  const t = initTRPC.context<TestContext>().create({
    isDev: false,
    ...(kind === 'superjson' ? { transformer: superjsonLike } : {}),
    errorFormatter: ({ shape, input, type, path, ctx }) => ({
      ...shape,
      data: { ...shape.data, seen: { input: describe(input), type, path, ctx: ctx?.name } },
    }),
  })
  const { procedure, router } = t
  const codes = [
    'BAD_REQUEST',
    'NOT_FOUND',
    'CONFLICT',
    'TOO_MANY_REQUESTS',
    'INTERNAL_SERVER_ERROR',
    'BAD_GATEWAY',
  ] as const

  return router({
    nothing: procedure.query(() => undefined),
    null: procedure.query(() => null),
    who: procedure.query(({ ctx }) => ctx.name),
    echo: procedure.input(z.any()).query(({ input }) => input),
    write: procedure
      .input(z.any())
      .mutation(({ input }) => ({ input, rows: [{ at: new Date(0) }, { at: new Date(1) }] })),
    touch: procedure.mutation(() => 'touched'),
    strict: procedure
      .input(z.strictObject({ id: z.uuid(), limit: z.number().max(100) }))
      .query(({ input }) => input),
    twoInputs: procedure
      .input(z.object({ a: z.string() }))
      .input(z.object({ b: z.number() }))
      .query(({ input }) => input),
    values: procedure.query(() => ({
      date: new Date(1e12),
      map: new Map([['a', new Date(0)]]),
      set: new Set([1, 'é', '😀']),
      url: new URL('https://example.com/ü?q=1'),
      missing: undefined,
      'dotted.key\\': [new Date(5), { 1: new Date(6), deep: { at: new Date(7) } }],
      numbers: [Number.NaN, Number.POSITIVE_INFINITY, -0, 1e300],
      text: '\u2028 </script> \ud800',
    })),
    bigint: procedure.query(() => 12345678901234567890n),
    shared: procedure.query(() => {
      const one = { at: new Date(0) }
      return { a: one, b: one, list: [one] }
    }),
    circular: procedure.query(() => {
      const value: Record<string, unknown> = {}
      value.self = value
      return value
    }),
    poison: procedure.query(() => JSON.parse('{"constructor": 1}') as unknown),
    fail: procedure.input(z.enum(codes)).query(({ input }) => {
      throw new TRPCError({ code: input, message: `failed with ${input}` })
    }),
    failToWrite: procedure.input(z.enum(codes)).mutation(({ input }) => {
      throw new TRPCError({ code: input, message: `failed with ${input}` })
    }),
    throwError: procedure.query(() => {
      throw new Error('thrown')
    }),
    throwText: procedure.query(() => {
      throw 'text'
    }),
    throwObject: procedure.query(() => {
      throw { message: 'object', status: 418 }
    }),
    throwNothing: procedure.query(() => {
      throw undefined
    }),
    badOutput: procedure.output(z.string()).query(() => 1 as unknown as string),
    goodOutput: procedure.output(z.object({ a: z.string() })).query(() => ({ a: 'x', b: 'dropped' })),
    promiseInside: procedure.query(() => ({ later: Promise.resolve(1) })),
    iterableInside: procedure.query(() => ({ later: numbers() })),
    generator: procedure.query(async function* () {
      yield* numbers()
    }),
    promisesInArray: procedure.query(() => [Promise.resolve(1)]),
    changed: procedure
      .use(({ ctx, next }) => next({ ctx: { ...ctx, name: 'changed' }, input: 'from the middleware' }))
      .query(({ ctx, input }) => ({ name: ctx.name, input: input as unknown })),
    raw: procedure
      .use(async ({ getRawInput, next }) => next({ ctx: { raw: await getRawInput() } }))
      .query(({ ctx }) => ctx.raw),
    replacedRaw: procedure
      .use(({ next }) => next({ getRawInput: async () => 'replaced' }))
      .input(z.string())
      .query(({ input }) => input),
    noNext: procedure.use((() => undefined) as never).query(() => 'unreached'),
    seenFailure: procedure
      .use(async ({ next }) => {
        const result = await next()
        if (!result.ok)
          result.error = new TRPCError({ code: 'CONFLICT', message: `was ${result.error.code}` })
        return result
      })
      .query(() => {
        throw new Error('hidden')
      }),
    meta: t.procedure
      .use(({ path, type, batchIndex, meta, next }) =>
        next({ ctx: { seen: { path, type, batchIndex, meta: describe(meta) } } }),
      )
      .query(({ ctx }) => ctx.seen),
    callerOverride: procedure
      .experimental_caller(async ({ args, invoke }) => invoke(args[0] as never))
      .query(() => 'called by an override') as unknown as AnyTRPCProcedure,
    held: procedure.query(async ({ signal }) => {
      signal?.addEventListener('abort', () => hooks.onAborted?.())
      await hooks.hold?.()
      return 'let go'
    }),
    file: procedure.input(z.instanceof(FormData)).mutation(({ input }) => String(input.get('name'))),
    ticks: procedure.input(z.any()).subscription(async function* ({ input }) {
      yield tracked('1', { input: describe(input) })
      yield tracked('2', 'second')
    }),
    heldTicks: procedure.subscription(async function* () {
      yield tracked('1', 'first')
      await hooks.hold?.()
      yield tracked('2', 'let go')
    }),
    nested: { deep: { down: procedure.query(() => 'nested') } },
    late: lazy(async () =>
      router({ one: procedure.query(() => 'loaded'), two: procedure.query(() => 'again') }),
    ),
  })
}

async function* numbers() {
  yield 1
}

/** Unknown values by their JSON, so that both sides' errors can show what they were told. */
function describe(value: unknown): string {
  try {
    return value instanceof FormData ? 'form data' : `${typeof value} ${JSON.stringify(value)}`
  } catch {
    return typeof value
  }
}
