import type { AnyTRPCProcedure, AnyTRPCRouter } from '@trpc/server'
import { getTRPCErrorFromUnknown, TRPCError } from '@trpc/server'
import { getHTTPStatusCode } from '@trpc/server/http'
import { getErrorShape, isAsyncIterable, isObject, isPromise } from '@trpc/server/unstable-core-do-not-import'
import { type CallError, noteError, reportError } from './call-error.ts'
import { contextInputOf } from './context-input.ts'
import { type Exchange, type JsonAnswer, sendJson } from './exchange.ts'
import { type PlainInputs, readPlainInputs } from './plain-inputs.ts'
import type { PlainRequest } from './plain-request.ts'
import { callProcedureChain } from './procedure-chain.ts'
import type { TrpcHandlerOptions } from './trpc-handler.ts'

interface Outcome {
  error: TRPCError | undefined
  data: unknown
}

interface Run {
  readonly options: TrpcHandlerOptions
  readonly exchange: Exchange
  readonly request: PlainRequest
  /** A POST's body. */
  readonly body: string
  readonly signal: AbortSignal
  /** What `createContext` threw: the error of each call. */
  contextError: TRPCError | undefined
  /** Undefined until a procedure asks for its own. */
  inputs: PlainInputs | undefined
}

const STREAM_MESSAGE = 'Cannot use stream-like response in non-streaming request - use httpBatchStreamLink'

/**
 * Runs the calls of a plain request, all at once, and answers as tRPC's `resolveResponse` does. Rejects only
 * when the router's error formatter throws.
 */
export async function answerPlain(
  exchange: Exchange,
  { request, body }: Pick<Run, 'request' | 'body'>,
  options: TrpcHandlerOptions,
): Promise<void> {
  const { res } = exchange
  const controller = new AbortController()
  const { signal } = controller
  res.on('close', () => {
    if (!res.writableEnded) controller.abort()
  })
  const slot = options.load.take(request.paths.length)
  const run: Run = { options, exchange, request, body, signal, contextError: undefined, inputs: undefined }
  try {
    try {
      const { aside } = slot
      exchange.context = options.createContext(contextInputOf(exchange, options, { signal, aside }))
    } catch (cause) {
      run.contextError = getTRPCErrorFromUnknown(cause)
    }
    sendJson(exchange, await answerOf(run), options)
  } finally {
    slot.release()
  }
}

async function answerOf(run: Run): Promise<JsonAnswer> {
  try {
    return run.request.isBatch ? await answerBatch(run) : await answerSingle(run)
  } catch (cause) {
    return answerFailure(run, cause)
  }
}

async function answerSingle(run: Run): Promise<JsonAnswer> {
  const { error, data } = await call(run, 0)
  if (isStreamLike(data)) {
    throw new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', message: STREAM_MESSAGE })
  }
  const response = error ? errorResponse(run, error, 0, run.request.type) : { result: { data } }
  const status = error ? getHTTPStatusCode(response) : 200
  const body = JSON.stringify(serialize(run.options.router, response))
  countCall(run, 0, status)
  return { status, body }
}

async function answerBatch(run: Run): Promise<JsonAnswer> {
  const { request, options } = run
  const outcomes = await Promise.all(request.paths.map((_, index) => call(run, index)))
  const responses = outcomes.map(({ error, data }, index) => {
    if (error === undefined && !isStreamLike(data)) return { result: { data } }
    const failure = error ?? new TRPCError({ code: 'UNSUPPORTED_MEDIA_TYPE', message: STREAM_MESSAGE })
    return errorResponse(run, failure, index, request.procedures[index]?._def.type ?? 'unknown')
  })
  const status = getHTTPStatusCode(responses)
  const body = JSON.stringify(responses.map(response => serialize(options.router, response)))
  for (const [index, response] of responses.entries()) countCall(run, index, getHTTPStatusCode(response))
  return { status, body }
}

async function call(run: Run, index: number): Promise<Outcome> {
  const { request, exchange, options } = run
  const path = request.paths[index] ?? ''
  const procedure = request.procedures[index] ?? null
  try {
    if (procedure === null) {
      throw new TRPCError({ code: 'NOT_FOUND', message: `No procedure found on path "${path}"` })
    }
    checkMethod(request.method, procedure, path)
    if (run.contextError) throw run.contextError
    const data: unknown = await callProcedureChain(procedure, {
      path,
      getRawInput: async () => inputOf(run, index),
      ctx: exchange.context,
      type: procedure._def.type,
      signal: run.signal,
      batchIndex: index,
    })
    return { error: undefined, data }
  } catch (cause) {
    const error = getTRPCErrorFromUnknown(cause)
    noteError(exchange, { error, path }, options.log)
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

/** Parses the inputs of all calls when the first procedure asks for its own. */
function inputOf(run: Run, index: number): unknown {
  run.inputs ??= readPlainInputs(run.options.router, run.request, run.body)
  if (run.inputs.failure) throw run.inputs.failure
  return run.inputs.values[index]
}

function countCall({ options, exchange, request }: Run, index: number, status: number): void {
  const name = request.procedures[index] ? request.paths[index] : undefined
  options.metrics.countCall(name ?? 'unknown', status, performance.now() - exchange.startedAt)
}

/** What went wrong outside of a procedure, in the transformer or the error formatter, is the whole request's answer. */
function answerFailure(run: Run, cause: unknown): JsonAnswer {
  const { exchange, options, request } = run
  const failure = {
    error: getTRPCErrorFromUnknown(cause),
    path: undefined,
    type: request.type,
    ctx: exchange.context,
  }
  const answer = reportError(exchange, failure, options)
  for (let index = 0; index < request.paths.length; index++) countCall(run, index, answer.status)
  return answer
}

function errorResponse(run: Run, error: TRPCError, index: number, type: CallError['type']) {
  const shape = getErrorShape({
    config: run.options.router._def._config,
    ctx: run.exchange.context,
    error,
    input: run.inputs?.values[index],
    path: run.request.paths[index],
    type,
  })
  return { error: shape }
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
