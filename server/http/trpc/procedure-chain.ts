import { type AnyTRPCProcedure, getTRPCErrorFromUnknown, TRPCError } from '@trpc/server'
import {
  type AnyMiddlewareFunction,
  type MiddlewareResult,
  middlewareMarker,
  type ProcedureCallOptions,
} from '@trpc/server/unstable-core-do-not-import'

// tRPC ships its middleware chain compiled with a helper in place of object spread, which takes a sixth of a small
// call's time. This is the same chain in today's JavaScript; the conformance suite compares the two.

type CallOptions = ProcedureCallOptions<unknown>

interface NextOptions {
  ctx?: object
  input?: unknown
  getRawInput?: CallOptions['getRawInput']
}

/** Calls a procedure as calling it directly would, through the same middlewares. Rejects with a TRPCError. */
export async function callProcedureChain(
  procedure: AnyTRPCProcedure,
  options: CallOptions,
): Promise<unknown> {
  const middlewares = middlewaresOf(procedure)
  if (middlewares === undefined) return procedure(options)
  const result = await runFrom(0, middlewares, { ...options, meta: procedure._def.meta })
  if (!result) {
    throw new TRPCError({
      code: 'INTERNAL_SERVER_ERROR',
      message: 'No result from middlewares - did you forget to `return next()`?',
    })
  }
  if (!result.ok) throw result.error
  return result.data
}

/** Undefined for a procedure that overrides its own invocation. */
function middlewaresOf(procedure: AnyTRPCProcedure): readonly AnyMiddlewareFunction[] | undefined {
  const definition: { middlewares?: readonly AnyMiddlewareFunction[]; experimental_caller?: boolean } =
    procedure._def
  return definition.experimental_caller ? undefined : definition.middlewares
}

type ChainOptions = CallOptions & { meta: unknown }

async function runFrom(
  index: number,
  middlewares: readonly AnyMiddlewareFunction[],
  options: ChainOptions,
): Promise<MiddlewareResult<unknown>> {
  try {
    const middleware = middlewares[index] as AnyMiddlewareFunction
    return await middleware({
      ...options,
      input: options.input,
      next: (changes?: NextOptions) => runFrom(index + 1, middlewares, withChanges(options, changes)),
    } as Parameters<AnyMiddlewareFunction>[0])
  } catch (cause) {
    return { ok: false, error: getTRPCErrorFromUnknown(cause), marker: middlewareMarker }
  }
}

function withChanges(options: ChainOptions, changes: NextOptions | undefined): ChainOptions {
  if (changes === undefined) return options
  return {
    ...options,
    ctx: changes.ctx ? { ...(options.ctx as object), ...changes.ctx } : options.ctx,
    input: 'input' in changes ? changes.input : options.input,
    getRawInput: changes.getRawInput ?? options.getRawInput,
  }
}
