import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import { getTRPCErrorFromUnknown, TRPCError } from '@trpc/server'
import { getHTTPStatusCode } from '@trpc/server/http'
import { getErrorShape, isAsyncIterable, isObject, isPromise } from '@trpc/server/unstable-core-do-not-import'
import { type PlainInputs, readPlainInputs } from './plain-inputs.ts'
import type { PlainRequest } from './plain-request.ts'
import { callProcedureChain } from './procedure-chain.ts'

export interface CallError {
  error: TRPCError
  path: string | undefined
  type: 'query' | 'mutation' | 'subscription' | 'unknown'
  input: unknown
  ctx: unknown
}

export interface PlainCallOptions {
  router: AnyTRPCRouter
  method: string
  request: PlainRequest
  /** A POST's body. */
  body: string
  /** Called once, before the procedures; what it throws becomes each call's error. */
  createContext: () => unknown
  signal: AbortSignal
  onError: (failure: CallError) => void
  /** Told of each call's end: its index in the batch, its HTTP status. */
  onCall: (index: number, status: number) => void
}

export interface PlainAnswer {
  status: number
  body: string
  /** What `createContext` returned, when it did. */
  ctx: unknown
}

interface Outcome {
  error: TRPCError | undefined
  data: unknown
}

interface Run extends PlainCallOptions {
  inputs: PlainInputs
  ctx: unknown
  contextError: TRPCError | undefined
}

const STREAM_MESSAGE = 'Cannot use stream-like response in non-streaming request - use httpBatchStreamLink'

/**
 * Runs the calls of a plain request, all at once, and answers as tRPC's `resolveResponse` does. Rejects only
 * when the router's error formatter throws.
 */
export async function answerPlainCalls(options: PlainCallOptions): Promise<PlainAnswer> {
  const run: Run = {
    ...options,
    inputs: readPlainInputs(options),
    ctx: undefined,
    contextError: undefined,
  }
  try {
    run.ctx = options.createContext()
  } catch (cause) {
    run.contextError = getTRPCErrorFromUnknown(cause)
  }
  try {
    return options.request.isBatch ? await answerBatch(run) : await answerSingle(run)
  } catch (cause) {
    return answerFailure(run, cause)
  }
}

async function answerSingle(run: Run): Promise<PlainAnswer> {
  const { error, data } = await call(run, 0)
  if (isStreamLike(data)) {
    throw new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', message: STREAM_MESSAGE })
  }
  const response = error ? errorResponse(run, error, 0, run.request.type) : { result: { data } }
  const status = error ? getHTTPStatusCode(response) : 200
  const body = JSON.stringify(serialize(run.router, response))
  run.onCall(0, status)
  return { status, body, ctx: run.ctx }
}

async function answerBatch(run: Run): Promise<PlainAnswer> {
  const { request, router } = run
  const outcomes = await Promise.all(request.paths.map((_, index) => call(run, index)))
  const responses = outcomes.map(({ error, data }, index) => {
    if (error === undefined && !isStreamLike(data)) return { result: { data } }
    const failure = error ?? new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', message: STREAM_MESSAGE })
    return errorResponse(run, failure, index, request.procedures[index]?._def.type ?? 'unknown')
  })
  const status = getHTTPStatusCode(responses)
  const body = JSON.stringify(responses.map(response => serialize(router, response)))
  for (const [index, response] of responses.entries()) run.onCall(index, getHTTPStatusCode(response))
  return { status, body, ctx: run.ctx }
}

async function call(run: Run, index: number): Promise<Outcome> {
  const { request, inputs } = run
  const path = request.paths[index] ?? ''
  const procedure = request.procedures[index] ?? null
  try {
    if (procedure === null) {
      throw new TRPCError({ code: 'NOT_FOUND', message: `No procedure found on path "${path}"` })
    }
    checkMethod(run.method, procedure, path)
    if (run.contextError) throw run.contextError
    const data: unknown = await callProcedureChain(procedure, {
      path,
      getRawInput: async () => inputs.read(index),
      ctx: run.ctx,
      type: procedure._def.type,
      signal: run.signal,
      batchIndex: index,
    })
    return { error: undefined, data }
  } catch (cause) {
    const error = getTRPCErrorFromUnknown(cause)
    const type = procedure?._def.type ?? 'unknown'
    run.onError({ error, path, type, input: inputs.result(index), ctx: run.ctx })
    return { error, data: undefined }
  }
}

function checkMethod(method: string, procedure: AnyTRPCProcedure, path: string): void {
  const { type } = procedure._def
  if (method === (type === 'mutation' ? 'POST' : 'GET')) return
  throw new TRPCError({
    code: 'METHOD_NOT_SUPPORTED',
    message: `Unsupported ${method}-request to ${type} procedure at path "${path}"`,
  })
}

/** What went wrong outside of a procedure, in the transformer or the error formatter, is the whole request's answer. */
function answerFailure(run: Run, cause: unknown): PlainAnswer {
  const { type, paths } = run.request
  const error = getTRPCErrorFromUnknown(cause)
  run.onError({ error, path: undefined, type, input: undefined, ctx: run.ctx })
  const { status, body } = describeError(run.router, { error, path: undefined, type, ctx: run.ctx })
  for (let index = 0; index < paths.length; index++) run.onCall(index, status)
  return { status, body, ctx: run.ctx }
}

function errorResponse(run: Run, error: TRPCError, index: number, type: CallError['type']) {
  const shape = getErrorShape({
    config: run.router._def._config,
    ctx: run.ctx,
    error,
    input: run.inputs.result(index),
    path: run.request.paths[index],
    type,
  })
  return { error: shape }
}

/** An error's status and JSON body in the router's own shape. */
export function describeError(
  router: AnyTRPCRouter,
  failure: Omit<CallError, 'input'>,
): { status: number; body: string } {
  const config = router._def._config
  const response = { error: getErrorShape({ ...failure, config, input: undefined }) }
  return {
    status: getHTTPStatusCode(response),
    body: JSON.stringify(serialize(router, response)),
  }
}

type CallResponse = { result: { data: unknown } } | ReturnType<typeof errorResponse>

function serialize(router: AnyTRPCRouter, response: CallResponse) {
  const { output } = router._def._config.transformer
  if ('error' in response) return { error: output.serialize(response.error) }
  return { result: { data: output.serialize(response.result.data) } }
}

/** Async iterables, and objects that hold one or a promise, only travel in tRPC's streamed answers. */
function isStreamLike(value: unknown): boolean {
  if (!isObject(value)) return false
  if (isAsyncIterable(value)) return true
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && (isPromise(member) || isAsyncIterable(member))) return true
    if (typeof member === 'function' && isPromise(member)) return true
  }
  return false
}
