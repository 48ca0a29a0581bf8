import { TRPCError } from '@trpc/server'
import { isObject } from '@trpc/server/unstable-core-do-not-import'
import type { PlainCallOptions } from './plain-calls.ts'

/** The inputs of a request's calls, parsed together when the first procedure asks for its own. */
export interface PlainInputs {
  /** Throws a BAD_REQUEST, the same one for every call, when the text can't be read. */
  read: (index: number) => unknown
  /** What has been read so far, for error reports. */
  result: (index: number) => unknown
}

export function readPlainInputs(
  options: Pick<PlainCallOptions, 'router' | 'method' | 'request' | 'body'>,
): PlainInputs {
  let inputs: Record<number, unknown> | undefined
  let failure: TRPCError | undefined
  return {
    read(index) {
      if (failure) throw failure
      try {
        inputs ??= parseInputs(options)
      } catch (cause) {
        failure = toBadRequest(cause)
        throw failure
      }
      return inputs[index]
    },
    result: index => inputs?.[index],
  }
}

function parseInputs({
  router,
  method,
  request,
  body,
}: Pick<PlainCallOptions, 'router' | 'method' | 'request' | 'body'>): Record<number, unknown> {
  const inputs: Record<number, unknown> = Object.create(null)
  const transformer = router._def._config.transformer.input
  let parsed: unknown
  if (method === 'GET') {
    if (!request.queryInput) return inputs
    parsed = JSON.parse(request.queryInput)
  } else {
    parsed = JSON.parse(body)
  }
  if (!request.isBatch) {
    inputs[0] = transformer.deserialize(parsed)
    return inputs
  }
  if (!isObject(parsed)) {
    throw new TRPCError({
      code: 'BAD_REQUEST',
      message: '"input" needs to be an object when doing a batch call',
    })
  }
  for (let index = 0; index < request.paths.length; index++) {
    const input = parsed[index]
    if (input !== undefined) inputs[index] = transformer.deserialize(input)
  }
  return inputs
}

function toBadRequest(cause: unknown): TRPCError {
  if (cause instanceof TRPCError) return cause
  const message = cause instanceof Error ? cause.message : 'Invalid input'
  return new TRPCError({ code: 'BAD_REQUEST', message, cause })
}
