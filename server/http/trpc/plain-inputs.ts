import { type AnyTRPCRouter, TRPCError } from '@trpc/server'
import { isObject } from '@trpc/server/unstable-core-do-not-import'
import type { PlainRequest } from './plain-request.ts'

/** The inputs of a request's calls, by index. */
export interface PlainInputs {
  values: Record<number, unknown>
  /** A BAD_REQUEST, the same one for every call, when the text can't be read. */
  failure: TRPCError | undefined
}

/** Parses the inputs of all calls together: a GET's from its query, a POST's from its body. */
export function readPlainInputs(router: AnyTRPCRouter, request: PlainRequest, body: string): PlainInputs {
  try {
    return { values: parseInputs(router, request, body), failure: undefined }
  } catch (cause) {
    return { values: {}, failure: toBadRequest(cause) }
  }
}

function parseInputs(router: AnyTRPCRouter, request: PlainRequest, body: string): Record<number, unknown> {
  const inputs: Record<number, unknown> = Object.create(null)
  const transformer = router._def._config.transformer.input
  let parsed: unknown
  if (request.method === 'GET') {
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
